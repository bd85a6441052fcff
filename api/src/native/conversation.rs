//! `/api/posts/{id}/thread`, `replies` and `history`: what is around a post, and what it said before.

use actix_web::{
    HttpResponse, get,
    web::{Data, Path, Query},
};
use chrono::{DateTime, Utc};
use domain::{
    ids::PostId,
    posts::{self, PostView},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{link_next_after, post_dto::PostDto};
use crate::{
    extract::{AfterQuery, MaybeUser},
    openapi::{Common, NoSuch, Refused},
    problem::Problem,
    routes::State,
};

/// A post in its conversation.
#[derive(Serialize, ToSchema)]
pub struct ThreadDto<'a> {
    /// What it answers, what that answers, and so on: at most 50, oldest first, without what is deleted or hidden from
    /// the caller.
    ancestors: Vec<PostDto<'a>>,
    post: PostDto<'a>,
    /// What answers it, oldest first.
    replies: Vec<PostDto<'a>>,
}

fn dtos(posts: &[PostView]) -> Vec<PostDto<'_>> {
    posts.iter().map(PostDto::from).collect()
}

/// A post with what it answers and what answers it.
///
/// The header `Link` names the next page of answers.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post"), AfterQuery),
    security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The conversation", body = ThreadDto,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing with the last answers"))),
        Refused, NoSuch, Common,
    )
)]
#[get("/api/posts/{id}/thread")]
pub async fn thread(
    state: Data<State>,
    caller: MaybeUser,
    id: Path<i64>,
    query: Query<AfterQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = query.parse()?;
    let thread = posts::thread(&state.ctx, caller.id(), PostId(*id), after, limit).await?;
    let mut response = HttpResponse::Ok();
    let path = format!("/api/posts/{id}/thread");
    link_next_after(&mut response, &path, limit.get(), thread.replies.next);
    Ok(response.json(ThreadDto {
        ancestors: dtos(&thread.ancestors),
        post: PostDto::from(&thread.post),
        replies: dtos(&thread.replies.items),
    }))
}

/// What answers a post, oldest first.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post"), AfterQuery),
    security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Posts, oldest first", body = Vec<PostDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, NoSuch, Common,
    )
)]
#[get("/api/posts/{id}/replies")]
pub async fn replies(
    state: Data<State>,
    caller: MaybeUser,
    id: Path<i64>,
    query: Query<AfterQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = query.parse()?;
    let page = posts::replies(&state.ctx, caller.id(), PostId(*id), after, limit).await?;
    let mut response = HttpResponse::Ok();
    let path = format!("/api/posts/{id}/replies");
    link_next_after(&mut response, &path, limit.get(), page.next);
    Ok(response.json(dtos(&page.items)))
}

/// A text that a post has or had.
#[derive(Serialize, ToSchema)]
pub struct EditDto {
    /// 1 for what it said first.
    revision: i32,
    content: String,
    /// Since when.
    created_at: DateTime<Utc>,
}

/// What a post said before and says now, oldest first; the newest 100 texts.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    security((), ("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "Texts, oldest first", body = Vec<EditDto>), NoSuch, Common)
)]
#[get("/api/posts/{id}/history")]
pub async fn history(
    state: Data<State>,
    caller: MaybeUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let edits = posts::history(&state.ctx, caller.id(), PostId(*id)).await?;
    let edits: Vec<EditDto> = edits
        .into_iter()
        .map(|edit| EditDto {
            revision: edit.revision,
            content: edit.content,
            created_at: edit.created_at,
        })
        .collect();
    Ok(HttpResponse::Ok().json(edits))
}
