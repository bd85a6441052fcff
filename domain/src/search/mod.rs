//! Finding posts by their words and people by their names.
//!
//! Posts are ranked by how well they fit and, gently, by how new they are: of two posts the older one needs twice the
//! rank for each [`HALF_LIFE_DAYS`] between them. Ranking every post with a common word is not affordable, so only the
//! newest [`RANKED`] that fit are ranked, and a search shows no more than these. Words are taken as they are, in any
//! language, without stemming; scripts that write no spaces between words are found by whole runs of characters only.

mod model;
mod queries;

pub use model::{Found, PersonCursor, PostCursor, Query};

use std::collections::HashMap;

use crate::{
    Ctx, Error, Result,
    error::Violation,
    ids::{PostId, UserId},
    page::Limit,
    posts::{self, PostView},
    profiles::{self, Person},
    trends,
};
use model::Ranked;

/// How many of the newest posts (and accounts) that fit are ranked. A thousand take 35 to 70 ms of one core where every
/// second or third of 200,000 posts fits; most of that goes into taking the texts apart again.
pub const RANKED: i64 = 1_000;
/// The days after which a post weighs half.
pub const HALF_LIFE_DAYS: f64 = 30.0;

fn nothing_to_look_for() -> Error {
    Violation {
        field: "q",
        rule: "hold a word to look for; one that is only to be left out, or quotes and signs alone, is none".into(),
        length: None,
    }
    .into()
}

/// The cursor belongs to another search.
fn not_of_this_search() -> Error {
    model::wrong_cursor().into()
}

/// Posts that fit `query` as `viewer` may and wants to see them, best first. The query is written as in web searches:
/// words, `"a phrase"`, `or`, `-without`. A lone `#tag` finds what is tagged so, newest first.
///
/// # Errors
/// [`Error::Invalid`] when there is nothing to look for or `after` is of another search.
pub async fn posts(
    ctx: &Ctx,
    viewer: Option<UserId>,
    query: &Query,
    after: Option<PostCursor>,
    limit: Limit,
) -> Result<Found<PostView, PostCursor>> {
    let after = match (query.tag(), after) {
        (Some(tag), None) => return tagged(ctx, viewer, &tag, None, limit).await,
        (Some(tag), Some(PostCursor::Tagged { before })) => {
            return tagged(ctx, viewer, &tag, Some(before), limit).await;
        }
        (None, None) => Ranked::first(),
        (None, Some(PostCursor::Ranked(after))) => after,
        _ => return Err(not_of_this_search()),
    };
    let mut tx = ctx.db.begin().await?;
    let searchable = queries::prepare(&mut tx, query.as_str()).await?;
    let hits = match searchable {
        true => queries::posts(&mut tx, viewer, query.as_str(), &after, limit.probe()).await?,
        false => Vec::new(),
    };
    tx.rollback().await?;
    if !searchable {
        return Err(nothing_to_look_for());
    }
    let cut = Found::from_probe(hits, limit, |hit| PostCursor::Ranked(*hit));
    let entries: Vec<PostId> = cut.items.iter().map(|hit| PostId(hit.id)).collect();
    let views = match entries.is_empty() {
        true => Vec::new(),
        false => posts::by_entries(ctx, viewer, &entries).await?,
    };
    let mut by_entry: HashMap<PostId, PostView> =
        views.into_iter().map(|view| (view.entry, view)).collect();
    Ok(Found {
        items: entries
            .iter()
            .filter_map(|entry| by_entry.remove(entry))
            .collect(),
        next: cut.next,
    })
}

async fn tagged(
    ctx: &Ctx,
    viewer: Option<UserId>,
    tag: &trends::Tag,
    before: Option<i64>,
    limit: Limit,
) -> Result<Found<PostView, PostCursor>> {
    let page = trends::tagged(ctx, viewer, tag, before, limit).await?;
    Ok(Found {
        items: page.items,
        next: page.next.map(|before| PostCursor::Tagged { before }),
    })
}

/// People without a block between them and `viewer`: first those whose username begins with what is looked for, by
/// name; then those with its words in name, display name or bio, best first and names before bios. What begins with an
/// `@` is the beginning of a username and nothing else.
///
/// # Errors
/// [`Error::Invalid`] when there is nothing to look for or `after` is of another search.
pub async fn people(
    ctx: &Ctx,
    viewer: Option<UserId>,
    query: &Query,
    after: Option<PersonCursor>,
    limit: Limit,
) -> Result<Found<Person, PersonCursor>> {
    let prefix = query.name_prefix();
    if prefix.is_none() && matches!(after, Some(PersonCursor::Named { .. })) {
        return Err(not_of_this_search());
    }
    let mut tx = ctx.db.begin().await?;
    let words = queries::prepare(&mut tx, query.as_str()).await? && !query.is_name();
    let (mut hits, probe) = (Vec::new(), limit.probe());
    let (from, ranked) = match after {
        None => (Some(String::new()), Ranked::first()),
        Some(PersonCursor::Named { name }) => (Some(name), Ranked::first()),
        Some(PersonCursor::Ranked(after)) => (None, after),
    };
    if let (Some(prefix), Some(from)) = (&prefix, from) {
        hits = queries::named(&mut tx, viewer, prefix, &from, probe).await?;
    }
    let room = probe - i64::try_from(hits.len()).unwrap_or(probe);
    if words && room > 0 {
        let prefix = prefix.as_deref();
        let text = query.as_str();
        hits.extend(queries::described(&mut tx, viewer, text, prefix, &ranked, room).await?);
    }
    tx.rollback().await?;
    if prefix.is_none() && !words {
        return Err(nothing_to_look_for());
    }
    let cut = Found::from_probe(hits, limit, |(_, cursor)| cursor.clone());
    let ids: Vec<UserId> = cut.items.iter().map(|(id, _)| *id).collect();
    Ok(Found {
        items: profiles::people(ctx, viewer, &ids).await?,
        next: cut.next,
    })
}
