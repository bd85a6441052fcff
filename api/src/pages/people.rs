//! `/@{username}`: somebody's page, who follows whom, and what one can do about a person.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Path, Query},
};
use askama::Template;
use domain::{
    ids::UserId,
    insights, posts,
    profiles::{self, Person, Profile},
    relations::{self, Relation},
};
use serde::Deserialize;

use super::{
    Walk,
    card::{By, Feed, FeedPage, number},
    chart::Chart,
    layout::{self, Place, Shell},
    text::{Piece, pieces},
    visitor::{Button, Form, Visitor},
};
use crate::{problem::Problem, routes::State};

/// The button that follows somebody, or no more.
#[derive(Template)]
#[template(path = "people/follow.html")]
pub struct Follow<'a> {
    username: &'a str,
    relation: Option<Relation>,
}

/// Somebody in a list.
pub struct Row<'a> {
    /// Who.
    pub by: By<'a>,
    /// What they say of themselves.
    pub bio: &'a str,
    /// The button.
    pub follow: Follow<'a>,
    /// Whether the viewer follows, blocks or mutes them.
    pub relation: Option<Relation>,
}

impl<'a> Row<'a> {
    /// The person as `viewer` sees them.
    #[must_use]
    pub fn new(person: &'a Person, viewer: Option<UserId>) -> Self {
        // There is no button for oneself.
        let relation = person.relation.filter(|_| viewer != Some(person.id));
        Self {
            by: By::new(&person.username, &person.display_name),
            bio: &person.bio,
            follow: Follow {
                username: &person.username,
                relation,
            },
            relation,
        }
    }
}

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage<'a> {
    shell: Shell,
    by: By<'a>,
    bio: Vec<Piece<'a>>,
    joined: String,
    /// A number and its noun.
    followers: (String, &'static str),
    followed: String,
    posts: (String, &'static str),
    follow: Follow<'a>,
    relation: Option<Relation>,
    mine: bool,
    first: bool,
    chart: Option<Chart>,
    feed: Feed<'a>,
}

fn counted(n: i64, [one, many]: [&'static str; 2]) -> (String, &'static str) {
    (number(n), if n == 1 { one } else { many })
}

/// `GET /@{username}`.
pub async fn profile(
    state: Data<State>,
    visitor: Visitor,
    username: Path<String>,
    query: Query<Walk>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let (ctx, viewer) = (&state.ctx, visitor.id());
    let profile = profiles::by_name(ctx, viewer, &username).await?;
    let posts = posts::by_author(ctx, viewer, profile.id, before, limit).await?;
    let path = format!("/@{}?", profile.username);
    let feed = Feed::new(&posts, viewer, ctx.clock.now(), &path);
    if visitor.partial && before.is_some() {
        return layout::html(StatusCode::OK, &visitor, &FeedPage { feed });
    }
    let page = page(&state, &visitor, &profile, feed, before.is_none()).await?;
    layout::html(StatusCode::OK, &visitor, &page)
}

async fn page<'a>(
    state: &State,
    visitor: &Visitor,
    profile: &'a Profile,
    feed: Feed<'a>,
    first: bool,
) -> Result<ProfilePage<'a>, Problem> {
    let mine = visitor.id() == Some(profile.id);
    let by = By::new(&profile.username, &profile.display_name);
    let chart = match &visitor.session {
        Some(session) if mine && first => {
            let insights = insights::get(&state.ctx, &session.user).await?;
            Some(Chart::new(&insights))
        }
        _ => None,
    };
    let title = format!("{} (@{})", by.name, by.username);
    let place = if mine { Place::Me } else { Place::Nowhere };
    let relation = profile.relation.filter(|_| !mine);
    Ok(ProfilePage {
        shell: layout::shell(state, visitor, title, place).await?,
        by,
        bio: pieces(&profile.bio),
        joined: profile.created_at.format("%B %Y").to_string(),
        followers: counted(profile.followers, ["follower", "followers"]),
        followed: number(profile.followed),
        posts: counted(profile.posts, ["post", "posts"]),
        follow: Follow {
            username: &profile.username,
            relation,
        },
        relation,
        mine,
        first,
        chart,
        feed,
    })
}

/// One of somebody's two lists of people.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum List {
    /// Who follows them.
    Followers,
    /// Whom they follow.
    Following,
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage<'a> {
    shell: Shell,
    by: By<'a>,
    followers: bool,
    people: Vec<Row<'a>>,
    older: Option<String>,
}

/// More people, for the end of a list that is shown already.
#[derive(Template)]
#[template(path = "people/rows.html")]
pub(super) struct RowsPage<'a> {
    pub people: Vec<Row<'a>>,
    pub older: Option<String>,
}

/// `GET /@{username}/followers` and `…/following`.
pub async fn list(
    state: Data<State>,
    visitor: Visitor,
    path: Path<(String, List)>,
    query: Query<Walk>,
) -> Result<HttpResponse, Problem> {
    let (username, list) = path.into_inner();
    let (limit, before) = query.parse()?;
    let (ctx, viewer) = (&state.ctx, visitor.id());
    let profile = profiles::by_name(ctx, viewer, &username).await?;
    let (found, word) = match list {
        List::Followers => (
            relations::followers(ctx, viewer, profile.id, before, limit).await?,
            "followers",
        ),
        List::Following => (
            relations::followed(ctx, viewer, profile.id, before, limit).await?,
            "following",
        ),
    };
    let rows = found.items.iter().map(|person| Row::new(person, viewer));
    let people: Vec<Row<'_>> = rows.collect();
    let next = found.next;
    let older = next.map(|before| format!("/@{}/{word}?before={before}", profile.username));
    if visitor.partial && before.is_some() {
        return layout::html(StatusCode::OK, &visitor, &RowsPage { people, older });
    }
    let by = By::new(&profile.username, &profile.display_name);
    let title = match list {
        List::Followers => format!("Who follows {}", by.name),
        List::Following => format!("Whom {} follows", by.name),
    };
    let page = PeoplePage {
        shell: layout::shell(&state, &visitor, title, Place::Nowhere).await?,
        by,
        followers: matches!(list, List::Followers),
        people,
        older,
    };
    layout::html(StatusCode::OK, &visitor, &page)
}

/// What one can do about a person.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// Read them.
    Follow,
    /// Read them no more.
    Unfollow,
    /// See and be seen no more.
    Block,
    /// See and be seen again.
    Unblock,
    /// Hear them no more.
    Mute,
    /// Hear them again.
    Unmute,
}

/// `POST /@{username}/{deed}`.
pub async fn deed(
    state: Data<State>,
    path: Path<(String, Deed)>,
    form: Form<Button>,
) -> Result<HttpResponse, Problem> {
    let (username, deed) = path.into_inner();
    let (ctx, user) = (&state.ctx, &form.member()?.user);
    // What one did to somebody can be undone when they have blocked one since; what may not be, the domain refuses.
    let undoes = matches!(deed, Deed::Unfollow | Deed::Unblock | Deed::Unmute);
    let viewer = (!undoes).then_some(user.id);
    let other = profiles::by_name(ctx, viewer, &username).await?;
    let relation = match deed {
        Deed::Follow => relations::follow(ctx, user, other.id).await,
        Deed::Unfollow => relations::unfollow(ctx, user, other.id).await,
        Deed::Block => relations::block(ctx, user, other.id).await,
        Deed::Unblock => relations::unblock(ctx, user, other.id).await,
        Deed::Mute => relations::mute(ctx, user, other.id).await,
        Deed::Unmute => relations::unmute(ctx, user, other.id).await,
    }?;
    if form.partial {
        let button = Follow {
            username: &other.username,
            relation: Some(relation),
        };
        return layout::html(StatusCode::OK, &form, &button);
    }
    Ok(layout::see(form.next()))
}
