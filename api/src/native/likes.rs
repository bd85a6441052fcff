//! `/api/posts/{id}/like` and who does.

use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Path, Query},
};
use domain::{ids::PostId, likes};

use super::{
    post_dto::PostDto,
    profiles::{PersonDto, answer},
};
use crate::{
    extract::{CurrentUser, MaybeUser, PageQuery},
    openapi::{Common, LoginNeeded, NoSuch, Refused},
    problem::Problem,
    routes::State,
};

/// Like a post, and tell its author.
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
#[post("/api/posts/{id}/like")]
pub async fn like(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = likes::like(&state.ctx, &session.user, PostId(*id)).await?;
    Ok(HttpResponse::Ok().json(PostDto::from(&post)))
}

/// Like a post no more.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The post as it is now", body = PostDto),
        LoginNeeded, NoSuch, Common,
    )
)]
#[delete("/api/posts/{id}/like")]
pub async fn unlike(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = likes::unlike(&state.ctx, &session.user, PostId(*id)).await?;
    Ok(HttpResponse::Ok().json(PostDto::from(&post)))
}

/// Who likes a post. People with a block between them and the caller are left out.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post"), PageQuery),
    security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "People, the newest accounts first", body = Vec<PersonDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, NoSuch, Common,
    )
)]
#[get("/api/posts/{id}/likes")]
pub async fn people(
    state: Data<State>,
    caller: MaybeUser,
    id: Path<i64>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let page = likes::people(&state.ctx, caller.id(), PostId(*id), before, limit).await?;
    Ok(answer(&format!("/api/posts/{id}/likes"), limit, page))
}
