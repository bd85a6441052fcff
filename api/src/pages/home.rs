//! `/`: the public feed for who is not logged in; the timelines and the place to write for who is.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Query},
};
use askama::Template;
use domain::{posts, timelines};
use serde::Deserialize;

use super::{
    Walk,
    card::{Feed, FeedPage},
    compose::Compose,
    layout::{self, Place, Shell},
    visitor::Visitor,
};
use crate::{problem::Problem, routes::State};

/// Which feed, and from where on.
#[derive(Deserialize)]
pub struct HomeQuery {
    feed: Option<String>,
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    shell: Shell,
    feed: Feed<'a>,
    compose: Compose,
    everyone: bool,
    first: bool,
}

/// The front page.
pub async fn home(
    state: Data<State>,
    visitor: Visitor,
    query: Query<HomeQuery>,
) -> Result<HttpResponse, Problem> {
    let HomeQuery { feed, before } = query.into_inner();
    let (limit, before) = Walk { before }.parse()?;
    let everyone = visitor.session.is_none() || feed.as_deref() == Some("everyone");
    let page = match &visitor.session {
        Some(session) if !everyone => {
            timelines::home(&state.ctx, &session.user, before, limit).await?
        }
        _ => posts::page(&state.ctx, visitor.id(), before, limit).await?,
    };
    let path = match visitor.session {
        Some(_) if everyone => "/?feed=everyone&",
        _ => "/?",
    };
    let feed = Feed::new(&page, visitor.id(), state.ctx.clock.now(), path);
    if visitor.partial && before.is_some() {
        return layout::html(StatusCode::OK, &visitor, &FeedPage { feed });
    }
    let page = HomePage {
        shell: layout::shell(&state, &visitor, "Home", Place::Home).await?,
        feed,
        compose: Compose::new(&state, &visitor),
        everyone,
        first: before.is_none(),
    };
    layout::html(StatusCode::OK, &visitor, &page)
}
