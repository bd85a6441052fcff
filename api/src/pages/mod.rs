//! Pages: what browsers are shown. HTML made here from templates (`api/templates/`), plain links and forms that work
//! without scripts; htmx asks the same addresses for parts of pages, and `assets/app.js` listens to the live stream.
//!
//! A handler parses what was sent, calls the domain, and fills a template. Refusals are [`Problem`]s as everywhere; on
//! their way out `errors` makes pages of them. One file per page; [`card`] is a post as all of them show it, [`layout`]
//! what is around it, [`visitor`] who looks and the forms they send, [`assets`] style, script and icons.
//!
//! Nothing here is in the OpenAPI document: pages are for people.

pub mod account;
pub mod assets;
pub mod bookmarks;
pub mod card;
pub mod chart;
pub mod compose;
pub mod errors;
pub mod explore;
pub mod home;
pub mod layout;
pub mod notifications;
pub mod people;
pub mod posts;
pub mod search;
pub mod settings;
pub mod text;
pub mod time;
pub mod visitor;

use std::fmt;

use actix_web::{
    HttpResponse, Resource,
    guard::fn_guard,
    http::StatusCode,
    middleware::Compress,
    web::{self, ServiceConfig},
};
use askama::filters::HtmlSafe;
use domain::page::{Limit, parse_before};
use serde::Deserialize;

use crate::problem::Problem;

/// An address, with the refusal of methods that it is not served with.
fn at(path: &str, methods: &'static str) -> Resource {
    let refuse = move || async move {
        let sentence = format!("this page is not served in that way: use {methods}");
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, sentence);
        Err::<HttpResponse, _>(problem.allowing(methods.to_owned()))
    };
    web::resource(path).default_service(web::to(refuse))
}

/// A page that is only looked at.
fn page(path: &str) -> Resource {
    at(path, "GET, HEAD")
}

/// A page with a form.
fn form(path: &str) -> Resource {
    at(path, "GET, HEAD, POST")
}

/// What a button does.
fn deed(path: &str) -> Resource {
    at(path, "POST")
}

/// All pages.
pub fn table(config: &mut ServiceConfig) {
    config.service(page("/assets/{hash}/{name}").get(assets::serve));
    let pages = web::scope("")
        // A layer outside puts the figures in the place of whatever answers there, which must not say that it is compressed.
        .guard(fn_guard(|request| request.head().uri.path() != "/metrics"))
        .wrap(Compress::default())
        .service(page("/").get(home::home))
        .configure(accounts)
        .configure(conversation)
        .service(page("/explore").get(explore::explore))
        .service(page("/tags/{tag}").get(explore::tag))
        .service(page("/topics/{topic}").get(explore::topic))
        .service(page("/search").get(search::search))
        .service(page("/@{username}").get(people::profile))
        .service(page("/@{username}/{list:followers|following}").get(people::list))
        .service(deed("/@{username}/{deed:(?:un)?(?:follow|block|mute)}").post(people::deed))
        .service(page("/notifications").get(notifications::list))
        .service(page("/bookmarks").get(bookmarks::list));
    config.service(pages);
}

fn accounts(config: &mut ServiceConfig) {
    let sign_up = form("/signup").get(account::sign_up_form);
    let login = form("/login").get(account::login_form);
    config
        .service(sign_up.post(account::sign_up))
        .service(login.post(account::login))
        .service(deed("/logout").post(account::logout))
        .service(page("/settings").get(settings::show))
        .service(deed("/settings/profile").post(settings::profile))
        .service(deed("/settings/password").post(settings::password))
        .service(deed("/settings/delete").post(settings::delete))
        .service(deed("/settings/sessions/{id}/end").post(settings::end_session))
        .service(page("/settings/{list:blocked|muted}").get(settings::list));
}

fn conversation(config: &mut ServiceConfig) {
    let edit = form("/posts/{id}/edit").get(posts::edit_form);
    let delete = form("/posts/{id}/delete").get(posts::delete_form);
    config
        .service(form("/compose").get(compose::form).post(compose::send))
        .service(deed("/compose/suggest").post(compose::suggest))
        .service(page("/posts/{id}").get(posts::show))
        .service(page("/posts/{id}/card").get(posts::card))
        .service(page("/posts/{id}/history").get(posts::history))
        .service(edit.post(posts::edit))
        .service(delete.post(posts::delete))
        .service(deed("/posts/{id}/{deed:(?:un)?(?:like|repost|bookmark)}").post(posts::deed));
}

/// An icon from the sprite; it says nothing by itself, so words go with it.
#[derive(Clone, Copy)]
pub struct Icon(&'static str);

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (icons, name) = (assets::icons(), self.0);
        write!(
            f,
            "<svg class=\"i\" aria-hidden=\"true\"><use href=\"{icons}#{name}\"/></svg>"
        )
    }
}

// Made of our own words only.
impl HtmlSafe for Icon {}

/// The icon `name`.
#[must_use]
pub fn icon(name: &'static str) -> Icon {
    Icon(name)
}

/// `text` as part of an address.
#[must_use]
pub fn encoded(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _done = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Posts on a page.
const POSTS: i64 = 25;

/// The query of a list.
#[derive(Deserialize)]
pub struct Walk {
    before: Option<String>,
}

impl Walk {
    /// How many, and below which id.
    ///
    /// # Errors
    /// 422.
    pub fn parse(&self) -> Result<(Limit, Option<i64>), Problem> {
        let before = self.before.as_ref();
        let before = before.map(|text| parse_before(text.parse().unwrap_or(0)));
        Ok((Limit::parse(POSTS)?, before.transpose()?))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_becomes_part_of_an_address() {
        assert_eq!(super::encoded("a-b_c.d~9"), "a-b_c.d~9");
        assert_eq!(super::encoded("ö &?#/\""), "%C3%B6%20%26%3F%23%2F%22");
    }
}
