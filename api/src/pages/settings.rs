//! `/settings`: the visitor's profile, password, logins, blocks and mutes; their data; the end of their account.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Path, Query},
};
use askama::Template;
use domain::{
    auth::{self, Password, Session},
    profiles::{self, Bio, DisplayName, ProfileChange},
    relations,
    users::{self, UserChange},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    Walk, account,
    layout::{self, Faults, Place, Shell},
    people::{Row, RowsPage},
    time::When,
    visitor::{Button, Form, Visitor},
};
use crate::{problem::Problem, routes::State};

/// A login.
struct Login {
    id: String,
    device: String,
    since: When,
    current: bool,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    shell: Shell,
    display_name: String,
    bio: String,
    logins: Vec<Login>,
    faults: Faults,
    saved: Option<&'static str>,
}

/// What was just done.
#[derive(Deserialize)]
pub struct Saved {
    saved: Option<String>,
}

/// A browser and a system, as far as the program says; programs name themselves after others, so the order counts.
fn device(agent: &str) -> String {
    let named = |names: &[(&str, &'static str)]| {
        let found = names.iter().find(|(sign, _)| agent.contains(sign));
        found.map(|(_, name)| *name)
    };
    let browser = named(&[
        ("Firefox/", "Firefox"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = named(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ if agent.is_empty() => "A program without a name".to_owned(),
        _ => agent.chars().take(60).collect(),
    }
}

/// What the profile's form holds.
struct Profile {
    display_name: String,
    bio: String,
}

async fn page(
    state: &State,
    visitor: &Visitor,
    profile: Option<Profile>,
    (status, faults): (StatusCode, Faults),
    saved: Option<&'static str>,
) -> Result<HttpResponse, Problem> {
    let session = visitor.member()?;
    let profile = match profile {
        Some(profile) => profile,
        None => {
            let id = session.user.id;
            let found = profiles::get(&state.ctx, Some(id), id).await?;
            Profile {
                display_name: found.display_name,
                bio: found.bio,
            }
        }
    };
    let now = state.ctx.clock.now();
    let logins = auth::sessions(&state.ctx, session).await?;
    let logins = logins.into_iter().map(|login| Login {
        id: login.id.to_string(),
        device: device(&login.user_agent),
        since: When::new(login.created_at, now),
        current: login.current,
    });
    let shell = layout::shell(state, visitor, "Settings", Place::Settings).await?;
    let page = SettingsPage {
        // Where its forms are sent to is no page to come back to.
        shell: Shell {
            address: "/settings".into(),
            ..shell
        },
        display_name: profile.display_name,
        bio: profile.bio,
        logins: logins.collect(),
        faults,
        saved,
    };
    layout::html(status, visitor, &page)
}

/// `GET /settings`.
pub async fn show(
    state: Data<State>,
    visitor: Visitor,
    query: Query<Saved>,
) -> Result<HttpResponse, Problem> {
    let saved = match query.saved.as_deref() {
        Some("profile") => Some("Your profile is saved."),
        Some("password") => Some("Your password is changed; every other login has ended."),
        Some("session") => Some("That login has ended."),
        _ => None,
    };
    let fine = (StatusCode::OK, Faults::default());
    page(&state, &visitor, None, fine, saved).await
}

/// The profile's form.
#[derive(Deserialize)]
pub struct ProfileForm {
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    bio: String,
}

/// `POST /settings/profile`.
pub async fn profile(state: Data<State>, form: Form<ProfileForm>) -> Result<HttpResponse, Problem> {
    let session = form.member()?;
    let ProfileForm { display_name, bio } = &form.input;
    match (DisplayName::parse(display_name), Bio::parse(bio)) {
        (Ok(display_name), Ok(bio)) => {
            let change = ProfileChange {
                display_name: Some(display_name),
                bio: Some(bio),
            };
            profiles::update(&state.ctx, session, change).await?;
            Ok(layout::see("/settings?saved=profile"))
        }
        (name, text) => {
            let violations = [name.err(), text.err()].into_iter().flatten();
            let problem = Problem::from(domain::Error::Invalid(violations.collect()));
            let kept = Profile {
                display_name: display_name.clone(),
                bio: bio.clone(),
            };
            let faults = Faults::from_problem(problem, "display_name")?;
            let refused = (StatusCode::UNPROCESSABLE_ENTITY, faults);
            page(&state, &form, Some(kept), refused, None).await
        }
    }
}

/// Whether this is the caller's password; a fault of `field` when it is not.
async fn confirm(
    state: &State,
    session: &Session,
    (field, password): (&str, &str),
) -> Result<Option<Faults>, Problem> {
    let password = SecretString::from(password.to_owned());
    match auth::confirm(&state.ctx, session, password).await {
        Ok(()) => Ok(None),
        Err(domain::Error::Unauthenticated(_)) => {
            Ok(Some(Faults::one(field, "This is not your password.")))
        }
        Err(error) => Err(error.into()),
    }
}

/// The password's form.
#[derive(Deserialize)]
pub struct PasswordForm {
    #[serde(default)]
    current: String,
    #[serde(default)]
    new: String,
}

/// `POST /settings/password`: ends every login but this browser's, which gets a new one.
pub async fn password(
    state: Data<State>,
    form: Form<PasswordForm>,
) -> Result<HttpResponse, Problem> {
    let session = form.member()?;
    let PasswordForm { current, new } = &form.input;
    let new = Password::parse(new.clone());
    let faults = match &new {
        // An unfit new one is told without a try of the current one.
        Err(violation) => {
            let faults = Faults::from_problem(violation.clone().into(), "new")?;
            Some(faults.called("new"))
        }
        Ok(_) => confirm(&state, session, ("current", current)).await?,
    };
    match (new, faults) {
        (Ok(new), None) => {
            let change = UserChange {
                username: None,
                password: Some(new),
            };
            let user = users::update(&state.ctx, session, session.user.id, change).await?;
            let next = "/settings?saved=password";
            Ok(account::renew(&state, &form, user, (next, "password")).await)
        }
        (_, faults) => {
            let refused = (StatusCode::UNPROCESSABLE_ENTITY, faults.unwrap_or_default());
            page(&state, &form, None, refused, None).await
        }
    }
}

/// The last form.
#[derive(Deserialize)]
pub struct DeleteForm {
    #[serde(default)]
    password: String,
}

/// `POST /settings/delete`.
pub async fn delete(state: Data<State>, form: Form<DeleteForm>) -> Result<HttpResponse, Problem> {
    let session = form.member()?;
    let given = ("delete", form.input.password.as_str());
    if let Some(faults) = confirm(&state, session, given).await? {
        let refused = (StatusCode::UNPROCESSABLE_ENTITY, faults);
        return page(&state, &form, None, refused, None).await;
    }
    users::delete(&state.ctx, session, session.user.id).await?;
    Ok(account::leave(&form))
}

/// `POST /settings/sessions/{id}/end`.
pub async fn end_session(
    state: Data<State>,
    id: Path<String>,
    form: Form<Button>,
) -> Result<HttpResponse, Problem> {
    let session = form.member()?;
    let gone = domain::Error::NotFound("session");
    let id = id.parse().map_err(|_| gone)?;
    auth::end_other(&state.ctx, session, id).await?;
    Ok(layout::see("/settings?saved=session"))
}

/// One of the visitor's two lists of people they would rather not meet.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum List {
    /// Not at all.
    Blocked,
    /// Not in timelines.
    Muted,
}

#[derive(Template)]
#[template(path = "avoided.html")]
struct AvoidedPage<'a> {
    shell: Shell,
    blocked: bool,
    people: Vec<Row<'a>>,
    older: Option<String>,
}

/// `GET /settings/blocked` and `/settings/muted`.
pub async fn list(
    state: Data<State>,
    visitor: Visitor,
    list: Path<List>,
    query: Query<Walk>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let (ctx, user) = (&state.ctx, &visitor.member()?.user);
    let (found, path, title) = match *list {
        List::Blocked => {
            let found = relations::blocked(ctx, user, before, limit).await?;
            (found, "/settings/blocked", "Blocked people")
        }
        List::Muted => {
            let found = relations::muted(ctx, user, before, limit).await?;
            (found, "/settings/muted", "Muted people")
        }
    };
    let rows = found.items.iter();
    let people: Vec<Row<'_>> = rows.map(|person| Row::new(person, visitor.id())).collect();
    let older = found.next.map(|before| format!("{path}?before={before}"));
    if visitor.partial && before.is_some() {
        return layout::html(StatusCode::OK, &visitor, &RowsPage { people, older });
    }
    let page = AvoidedPage {
        shell: layout::shell(&state, &visitor, title, Place::Settings).await?,
        blocked: matches!(*list, List::Blocked),
        people,
        older,
    };
    layout::html(StatusCode::OK, &visitor, &page)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_login_is_known_by_its_browser() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";
        assert_eq!(super::device(chrome), "Chrome on Linux");
        assert_eq!(super::device("curl/8.1"), "curl");
        assert_eq!(super::device(""), "A program without a name");
        assert_eq!(super::device("linnet-bot 1"), "linnet-bot 1");
    }
}
