//! `/bookmarks`: what the visitor keeps, seen by nobody else.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Query},
};
use askama::Template;
use domain::bookmarks;

use super::{
    Walk,
    card::{Feed, FeedPage},
    layout::{self, Place, Shell},
    visitor::Visitor,
};
use crate::{problem::Problem, routes::State};

#[derive(Template)]
#[template(path = "bookmarks.html")]
struct BookmarksPage<'a> {
    shell: Shell,
    feed: Feed<'a>,
}

/// `GET /bookmarks`.
pub async fn list(
    state: Data<State>,
    visitor: Visitor,
    query: Query<Walk>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let (ctx, user) = (&state.ctx, &visitor.member()?.user);
    let page = bookmarks::list(ctx, user, before, limit).await?;
    let feed = Feed::new(&page, visitor.id(), ctx.clock.now(), "/bookmarks?");
    if visitor.partial && before.is_some() {
        return layout::html(StatusCode::OK, &visitor, &FeedPage { feed });
    }
    let page = BookmarksPage {
        shell: layout::shell(&state, &visitor, "Bookmarks", Place::Bookmarks).await?,
        feed,
    };
    layout::html(StatusCode::OK, &visitor, &page)
}
