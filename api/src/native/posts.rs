//! `/api/posts`: the feed, one post, writing, changing, deleting; a suggestion and explanations from the model;
//! `/api/user/{id}/posts`.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::{
        StatusCode,
        header::{self, ContentType},
    },
    post, put,
    web::{Data, Path, Query},
};
use domain::{
    analysis,
    ids::{PostId, UserId},
    posts::{self, NewPost, PostText},
};
use flate2::Compression;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    link_next,
    post_dto::{PostDto, answer, render},
    users::missing,
};
use crate::{
    extract::{Body, CurrentUser, MaybeUser, PageQuery, RequestId},
    negotiation::{accepts, gzip, has},
    openapi::{BadBody, Common, LoginNeeded, NoSuch, NotJudged, NotYours, Refused},
    problem::Problem,
    routes::State,
};

/// The longest post the model is asked to suggest, in characters.
const SUGGESTION: usize = 140;

/// A new post.
#[derive(Deserialize, ToSchema)]
pub struct PostInput {
    /// 1 to 500 characters after trimming; no control characters but line ends. `@name` mentions somebody, `#tag` files
    /// the post under a tag.
    #[schema(example = "The first swallow of the year! #spring", value_type = String)]
    content: Option<String>,
    /// The post that it answers; not a repost's number.
    reply_to: Option<i64>,
}

/// What may be changed of a post.
#[derive(Deserialize, ToSchema)]
pub struct PostChange {
    /// As for a new post.
    #[schema(example = "The first swallow of the year!", value_type = String)]
    content: Option<String>,
}

fn text(content: Option<String>, state: &State) -> Result<PostText, Problem> {
    let content = content.ok_or(missing("content"))?;
    Ok(PostText::parse(&content, state.content_max_characters)?)
}

/// The feed: posts of everybody, newest first, without reposts.
///
/// A read that starts after a write was answered sees it, on every replica. The header `Link` names the next page. A
/// caller who is logged in does not see posts of people whom they mute or between whom and them there is a block.
#[utoipa::path(
    tag = "posts", params(PageQuery), security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Posts, newest first", body = Vec<PostDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"),
                 ("etag" = String, description = "Which posts these are, on everybody's first page; send it back in `If-None-Match`"))),
        (status = 304, description = "The caller has these posts already"),
        Refused, Common,
    )
)]
#[get("/api/posts")]
pub async fn list(
    req: HttpRequest,
    state: Data<State>,
    caller: MaybeUser,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let page = posts::feed(&state.ctx, caller.id(), before, limit, render).await?;
    let mut response = HttpResponse::Ok();
    if let Some(version) = page.version {
        // Weak, because the same posts are sent in two codings.
        let tag = format!("W/\"{version}\"");
        let known = has(req.headers(), &tag);
        response
            .insert_header((header::ETAG, tag))
            .insert_header((header::CACHE_CONTROL, "private, no-cache"))
            .insert_header((header::VARY, "accept-encoding, authorization, cookie"));
        if known {
            return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
        }
    }
    link_next(&mut response, "/api/posts", limit.get(), page.next);
    response.content_type(ContentType::json());
    let body = if page.version.is_some() && accepts(req.headers(), "gzip") {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
        page.packed(|plain| gzip(plain, Compression::fast()))
    } else {
        page.body.clone()
    };
    Ok(response.body(body))
}

/// What somebody has written, answered and reposted, newest first.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The account"), PageQuery),
    security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Posts, newest first", body = Vec<PostDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, NoSuch, Common,
    )
)]
#[get("/api/user/{id}/posts")]
pub async fn of_author(
    state: Data<State>,
    caller: MaybeUser,
    id: Path<i64>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let page = posts::by_author(&state.ctx, caller.id(), UserId(*id), before, limit).await?;
    Ok(answer(&format!("/api/user/{id}/posts"), limit, page))
}

/// Write a post.
///
/// It is in the feed when this answers; the language model judges it moments later. Whoever it answers or mentions is
/// notified.
#[utoipa::path(
    tag = "posts", request_body = PostInput, security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 201, description = "The post, in a list of one", body = Vec<PostDto>),
        BadBody, LoginNeeded, NoSuch, Common,
    )
)]
#[post("/api/posts")]
pub async fn create(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    request_id: RequestId,
    Body(input): Body<PostInput>,
) -> Result<HttpResponse, Problem> {
    let new = NewPost {
        text: text(input.content, &state)?,
        reply_to: input.reply_to.map(PostId),
        request_id: request_id.0,
    };
    let post = posts::create(&state.ctx, &session.user, new).await?;
    Ok(HttpResponse::Created().json([PostDto::from(&post)]))
}

/// A text that the model wrote.
#[derive(Serialize, ToSchema)]
pub struct Suggestion {
    /// At most 140 characters.
    content: String,
}

/// Have the model write a post; it is suggested and not published.
#[utoipa::path(
    tag = "posts",
    responses((status = 201, description = "A text", body = Suggestion), Common)
)]
#[get("/api/posts/generate")]
pub async fn generate(state: Data<State>, request_id: RequestId) -> Result<HttpResponse, Problem> {
    let content = state
        .llm
        .generate(SUGGESTION, &request_id.0)
        .await
        .map_err(domain::Error::from)?;
    Ok(HttpResponse::Created().json(Suggestion { content }))
}

/// Why a verdict is what it is.
#[derive(Serialize, ToSchema)]
pub struct Explanation {
    /// In the model's words; 1 to 200 characters.
    #[schema(example = "It speaks fondly of the first day of spring.")]
    explanation: String,
}

/// Why the verdict on a post is what it is, in the model's words.
///
/// The model is asked once, which may take seconds and counts as a write for the rate limits; what it says is kept
/// with the post. Another text or another verdict needs another explanation.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    security((), ("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The reason", body = Explanation), NoSuch, NotJudged, Common)
)]
#[get("/api/posts/{id}/explanation")]
pub async fn explanation(
    state: Data<State>,
    caller: MaybeUser,
    id: Path<i64>,
    request_id: RequestId,
) -> Result<HttpResponse, Problem> {
    // What is hidden from the caller has nothing to explain.
    posts::get(&state.ctx, caller.id(), PostId(*id)).await?;
    let explanation = analysis::explain(&state.ctx, &state.llm, PostId(*id), request_id.0).await?;
    Ok(HttpResponse::Ok().json(Explanation { explanation }))
}

/// One post with its analysis.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    security((), ("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The post", body = PostDto), NoSuch, Common)
)]
#[get("/api/posts/{id}")]
pub async fn read(
    state: Data<State>,
    caller: MaybeUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = posts::get(&state.ctx, caller.id(), PostId(*id)).await?;
    Ok(HttpResponse::Ok().json(PostDto::from(&post)))
}

/// A post that was changed.
#[derive(Serialize, ToSchema)]
pub struct PostUpdated<'a> {
    #[schema(example = "success")]
    message: &'static str,
    /// A list of one.
    updated_post: [PostDto<'a>; 1],
}

/// Change one's own post; a new text is judged anew, and what it said before stays in its history.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")), request_body = PostChange,
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The post as it is now", body = PostUpdated),
        BadBody, LoginNeeded, NotYours, NoSuch, Common,
    )
)]
#[put("/api/posts/{id}")]
pub async fn update(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
    request_id: RequestId,
    Body(input): Body<PostChange>,
) -> Result<HttpResponse, Problem> {
    let new = NewPost {
        text: text(input.content, &state)?,
        reply_to: None,
        request_id: request_id.0,
    };
    let post = posts::update(&state.ctx, &session.user, PostId(*id), new).await?;
    Ok(HttpResponse::Ok().json(PostUpdated {
        message: "success",
        updated_post: [PostDto::from(&post)],
    }))
}

/// A post that was deleted.
#[derive(Serialize, ToSchema)]
pub struct PostDeleted<'a> {
    /// A list of one.
    #[serde(rename = "Post deleted")]
    post_deleted: [PostDto<'a>; 1],
}

/// Delete one's own post, and its reposts with it.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The post as it was", body = PostDeleted),
        LoginNeeded, NotYours, NoSuch, Common,
    )
)]
#[delete("/api/posts/{id}")]
pub async fn remove(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = posts::delete(&state.ctx, &session.user, PostId(*id)).await?;
    Ok(HttpResponse::Ok().json(PostDeleted {
        post_deleted: [PostDto::from(&post)],
    }))
}
