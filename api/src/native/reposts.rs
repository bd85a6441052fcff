//! `/api/posts/{id}/repost`.

use actix_web::{
    HttpResponse, delete, post,
    web::{Data, Path},
};
use domain::{ids::PostId, posts};

use super::post_dto::PostDto;
use crate::{
    extract::CurrentUser,
    openapi::{Common, LoginNeeded, NoSuch},
    problem::Problem,
    routes::State,
};

/// Show a post to one's followers, and tell its author.
///
/// Doing it again changes nothing. A repost has a number of its own in lists; what is reposted is the original.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The post as it is now", body = PostDto),
        LoginNeeded, NoSuch, Common,
    )
)]
#[post("/api/posts/{id}/repost")]
pub async fn repost(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = posts::repost(&state.ctx, &session.user, PostId(*id)).await?;
    Ok(HttpResponse::Ok().json(PostDto::from(&post)))
}

/// Take one's repost of a post back.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The post as it is now", body = PostDto),
        LoginNeeded, NoSuch, Common,
    )
)]
#[delete("/api/posts/{id}/repost")]
pub async fn unrepost(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = posts::unrepost(&state.ctx, &session.user, PostId(*id)).await?;
    Ok(HttpResponse::Ok().json(PostDto::from(&post)))
}
