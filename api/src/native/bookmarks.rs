//! `/api/posts/{id}/bookmark` and `/api/bookmarks`.

use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Path, Query},
};
use domain::{bookmarks, ids::PostId};

use super::post_dto::{PostDto, answer};
use crate::{
    extract::{CurrentUser, PageQuery},
    openapi::{Common, LoginNeeded, NoSuch, Refused},
    problem::Problem,
    routes::State,
};

/// Keep a post for oneself; nobody else learns of it.
///
/// Doing it again changes nothing.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The post as it is now", body = PostDto),
        LoginNeeded, NoSuch, Common,
    )
)]
#[post("/api/posts/{id}/bookmark")]
pub async fn add(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = bookmarks::add(&state.ctx, &session.user, PostId(*id)).await?;
    Ok(HttpResponse::Ok().json(PostDto::from(&post)))
}

/// Keep a post no more.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The post as it is now", body = PostDto),
        LoginNeeded, NoSuch, Common,
    )
)]
#[delete("/api/posts/{id}/bookmark")]
pub async fn remove(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = bookmarks::remove(&state.ctx, &session.user, PostId(*id)).await?;
    Ok(HttpResponse::Ok().json(PostDto::from(&post)))
}

/// The posts that one keeps, those first that were kept last.
///
/// Only the header `Link` knows where the list goes on: `before` is the number of a bookmark here, not of a post.
#[utoipa::path(
    tag = "posts", params(PageQuery), security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Posts, kept last first", body = Vec<PostDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, LoginNeeded, Common,
    )
)]
#[get("/api/bookmarks")]
pub async fn list(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let page = bookmarks::list(&state.ctx, &session.user, before, limit).await?;
    Ok(answer("/api/bookmarks", limit, page))
}
