//! `/search`: posts by their words, people by their names.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Query},
};
use askama::Template;
use domain::{
    posts::PostView,
    profiles::Person,
    search::{self, Found, PersonCursor, PostCursor, Query as Words},
};
use serde::Deserialize;

use super::{
    Walk,
    card::{Card, Feed, FeedPage},
    encoded,
    layout::{self, Faults, Place, Shell},
    people::{Row, RowsPage},
    visitor::Visitor,
};
use crate::{problem::Problem, routes::State};

/// What is looked for.
#[derive(Deserialize)]
pub struct Search {
    q: Option<String>,
    kind: Option<String>,
    after: Option<String>,
}

/// What was found.
enum Hits {
    Posts(Found<PostView, PostCursor>),
    People(Found<Person, PersonCursor>),
    Nothing,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage<'a> {
    shell: Shell,
    q: String,
    posts_at: String,
    people_at: String,
    of_people: bool,
    asked: bool,
    faults: Faults,
    feed: Feed<'a>,
    people: Vec<Row<'a>>,
    older: Option<String>,
}

async fn find(state: &State, visitor: &Visitor, search: &Search) -> Result<Hits, Problem> {
    let Some(q) = search.q.as_deref().filter(|q| !q.trim().is_empty()) else {
        return Ok(Hits::Nothing);
    };
    let (limit, _) = Walk { before: None }.parse()?;
    let (ctx, viewer, words) = (&state.ctx, visitor.id(), Words::parse(q)?);
    let after = search.after.as_deref();
    Ok(if search.kind.as_deref() == Some("people") {
        let after = after.map(PersonCursor::parse).transpose()?;
        Hits::People(search::people(ctx, viewer, &words, after, limit).await?)
    } else {
        let after = after.map(PostCursor::parse).transpose()?;
        Hits::Posts(search::posts(ctx, viewer, &words, after, limit).await?)
    })
}

/// `GET /search`.
pub async fn search(
    state: Data<State>,
    visitor: Visitor,
    query: Query<Search>,
) -> Result<HttpResponse, Problem> {
    let (hits, status, faults) = match find(&state, &visitor, &query).await {
        Ok(hits) => (hits, StatusCode::OK, Faults::default()),
        Err(problem) => {
            let faults = Faults::from_problem(problem, "q")?;
            (Hits::Nothing, StatusCode::UNPROCESSABLE_ENTITY, faults)
        }
    };
    let q = query.q.clone().unwrap_or_default();
    let posts_at = format!("/search?q={}", encoded(&q));
    let people_at = format!("{posts_at}&kind=people");
    let (viewer, now) = (visitor.id(), state.ctx.clock.now());
    let (mut feed, mut people, mut older) = (Feed::empty(), Vec::new(), None);
    match &hits {
        Hits::Posts(found) => {
            let cards = found.items.iter().map(|post| Card::new(post, viewer, now));
            feed.cards = cards.collect();
            feed.older = found.next.map(|next| format!("{posts_at}&after={next}"));
        }
        Hits::People(found) => {
            let rows = found.items.iter().map(|person| Row::new(person, viewer));
            people = rows.collect();
            let next = found.next.as_ref();
            older = next.map(|next| format!("{people_at}&after={next}"));
        }
        Hits::Nothing => {}
    }
    if visitor.partial && query.after.is_some() {
        return match hits {
            Hits::People(_) => layout::html(StatusCode::OK, &visitor, &RowsPage { people, older }),
            _ => layout::html(StatusCode::OK, &visitor, &FeedPage { feed }),
        };
    }
    let title = if q.is_empty() {
        "Search".to_owned()
    } else {
        format!("Search for {q}")
    };
    let page = SearchPage {
        shell: layout::shell(&state, &visitor, title, Place::Explore).await?,
        posts_at,
        people_at,
        of_people: query.kind.as_deref() == Some("people"),
        asked: !matches!(hits, Hits::Nothing),
        q,
        faults,
        feed,
        people,
        older,
    };
    layout::html(status, &visitor, &page)
}
