//! `/api/posts`: the feed, one post, writing, changing, deleting; a suggestion and explanations from the model.

use actix_web::{
    HttpResponse, delete, get,
    http::header::ContentType,
    post, put,
    web::{Data, Path, Query},
};
use chrono::{DateTime, Utc};
use domain::{
    analysis::{self, AnalysisView, Polarity, Safety, Status},
    error::Violation,
    ids::PostId,
    posts::{self, NewPost, PostText, PostView},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::link_next;
use crate::{
    extract::{Body, CurrentUser, PageQuery, RequestId},
    openapi::{BadBody, Common, LoginNeeded, NoSuch, NotJudged, NotYours, Refused},
    problem::Problem,
    routes::State,
};

/// The longest post the model is asked to suggest, in characters.
const SUGGESTION: usize = 140;

/// What the language model thinks of a post. All but `status` and `error` is null until `status` is `done`.
#[derive(Serialize, ToSchema)]
pub struct AnalysisDto<'a> {
    /// `pending` until judged; `dead` when the model failed on it repeatedly.
    #[schema(value_type = String, example = "done")]
    status: Status,
    /// `positive`, `neutral` or `negative`.
    #[schema(value_type = Option<String>, example = "positive")]
    polarity: Option<Polarity>,
    /// −1 (ill) to 1 (well).
    score: Option<f32>,
    /// 0 to 1.
    confidence: Option<f32>,
    /// `ok` or `dangerous`.
    #[schema(value_type = Option<String>, example = "ok")]
    safety: Option<Safety>,
    /// At most three.
    topics: &'a [String],
    /// Why, in the model's words; at most 200 characters. Written unasked only for dangerous posts, else empty; see
    /// `/api/posts/{id}/explanation`.
    explanation: Option<&'a str>,
    /// Which model said so.
    model: Option<&'a str>,
    /// Why it was given up, when `status` is `dead`.
    error: Option<&'a str>,
}

impl<'a> From<&'a AnalysisView> for AnalysisDto<'a> {
    fn from(view: &'a AnalysisView) -> Self {
        Self {
            status: view.status,
            polarity: view.polarity,
            score: view.score,
            confidence: view.confidence,
            safety: view.safety,
            topics: &view.topics,
            explanation: view.explanation.as_deref(),
            model: view.model.as_deref(),
            error: view.error.as_deref(),
        }
    }
}

/// A post.
#[derive(Serialize, ToSchema)]
pub struct PostDto<'a> {
    #[schema(value_type = i64)]
    id: PostId,
    content: &'a str,
    /// Empty until analysed, then `ok` or `dangerous`.
    #[schema(example = "ok")]
    sentiment: &'static str,
    /// The model's reason, at most 200 characters; may be empty.
    correction: &'a str,
    #[serde(rename = "userId")]
    user_id: i64,
    created_at: DateTime<Utc>,
    /// When the text was last changed.
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    username: &'a str,
    /// What the author is called; may be empty.
    display_name: &'a str,
    /// Whether it said something else before; see `/api/posts/{id}/history`.
    edited: bool,
    /// The post it answers.
    reply_to: Option<ReplyToDto<'a>>,
    /// The first post of the conversation, for a reply.
    #[schema(value_type = Option<i64>)]
    thread_id: Option<PostId>,
    /// How many people like it.
    likes: i32,
    /// How many people have reposted it.
    reposts: i32,
    /// How many posts answer it.
    replies: i32,
    /// Who brought it here, where a list shows a repost.
    repost: Option<RepostDto<'a>>,
    /// What the caller has done with it; null for nobody in particular, as in the public feed.
    viewer: Option<ViewerDto>,
    analysis: Option<AnalysisDto<'a>>,
}

/// The post that a reply answers.
#[derive(Serialize, ToSchema)]
pub struct ReplyToDto<'a> {
    #[schema(value_type = i64)]
    post_id: PostId,
    #[serde(rename = "userId")]
    user_id: i64,
    username: &'a str,
}

/// Who showed a post to their followers.
#[derive(Serialize, ToSchema)]
pub struct RepostDto<'a> {
    /// The repost's own number, by which lists are continued.
    #[schema(value_type = i64)]
    id: PostId,
    #[serde(rename = "userId")]
    user_id: i64,
    username: &'a str,
    display_name: &'a str,
    created_at: DateTime<Utc>,
}

/// What the caller has done with a post.
#[derive(Serialize, ToSchema)]
pub struct ViewerDto {
    liked: bool,
    reposted: bool,
    bookmarked: bool,
}

impl<'a> From<&'a PostView> for PostDto<'a> {
    fn from(post: &'a PostView) -> Self {
        let analysis = post.analysis.as_ref();
        Self {
            id: post.id,
            content: &post.content,
            sentiment: analysis.and_then(|a| a.safety).map_or("", Safety::as_str),
            correction: analysis
                .and_then(|a| a.explanation.as_deref())
                .unwrap_or(""),
            user_id: post.user_id.0,
            created_at: post.created_at,
            updated_at: post.updated_at,
            deleted_at: post.deleted_at,
            username: &post.username,
            display_name: &post.display_name,
            edited: post.edited,
            reply_to: post.reply_to.as_ref().map(|answered| ReplyToDto {
                post_id: answered.post_id,
                user_id: answered.user_id.0,
                username: &answered.username,
            }),
            thread_id: post.thread_id,
            likes: post.likes,
            reposts: post.reposts,
            replies: post.replies,
            repost: post.repost.as_ref().map(|repost| RepostDto {
                id: repost.id,
                user_id: repost.user_id.0,
                username: &repost.username,
                display_name: &repost.display_name,
                created_at: repost.created_at,
            }),
            viewer: post.viewer.map(|viewer| ViewerDto {
                liked: viewer.liked,
                reposted: viewer.reposted,
                bookmarked: viewer.bookmarked,
            }),
            analysis: analysis.map(AnalysisDto::from),
        }
    }
}

/// The body of a list of posts. Serialising these types cannot fail: they hold no maps and no foreign types.
fn render(posts: &[PostView]) -> Vec<u8> {
    let posts: Vec<PostDto<'_>> = posts.iter().map(PostDto::from).collect();
    serde_json::to_vec(&posts).unwrap_or_else(|_| b"[]".to_vec())
}

/// What a post may be given.
#[derive(Deserialize, ToSchema)]
pub struct PostInput {
    /// 1 to 500 characters after trimming; no control characters but line ends.
    #[schema(example = "The first swallow of the year!", value_type = String)]
    content: Option<String>,
}

impl PostInput {
    fn parse(self, state: &State, request_id: RequestId) -> Result<NewPost, Problem> {
        let content = self.content.ok_or(Violation {
            field: "content",
            rule: "be given".into(),
            length: None,
        })?;
        Ok(NewPost {
            text: PostText::parse(&content, state.content_max_characters)?,
            request_id: request_id.0,
        })
    }
}

/// The feed: posts of everybody, newest first.
///
/// A read that starts after a write was answered sees it, on every replica. The header `Link` names the next page.
#[utoipa::path(
    tag = "posts", params(PageQuery),
    responses(
        (status = 200, description = "Posts, newest first", body = Vec<PostDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, Common,
    )
)]
#[get("/api/posts")]
pub async fn list(state: Data<State>, query: Query<PageQuery>) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let (body, next) = if before.is_none() {
        let page = posts::feed(&state.ctx, limit, render).await?;
        (page.body.clone(), page.next)
    } else {
        let page = posts::page(&state.ctx, None, before, limit).await?;
        (render(&page.items).into(), page.next)
    };
    let mut response = HttpResponse::Ok();
    link_next(&mut response, "/api/posts", limit.get(), next);
    Ok(response.content_type(ContentType::json()).body(body))
}

/// Write a post.
///
/// It is in the feed when this answers; the language model judges it moments later.
#[utoipa::path(
    tag = "posts", request_body = PostInput, security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 201, description = "The post, in a list of one", body = Vec<PostDto>),
        BadBody, LoginNeeded, Common,
    )
)]
#[post("/api/posts")]
pub async fn create(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    request_id: RequestId,
    Body(input): Body<PostInput>,
) -> Result<HttpResponse, Problem> {
    let new = input.parse(&state, request_id)?;
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
    responses((status = 200, description = "The reason", body = Explanation), NoSuch, NotJudged, Common)
)]
#[get("/api/posts/{id}/explanation")]
pub async fn explanation(
    state: Data<State>,
    id: Path<i64>,
    request_id: RequestId,
) -> Result<HttpResponse, Problem> {
    let explanation = analysis::explain(&state.ctx, &state.llm, PostId(*id), request_id.0).await?;
    Ok(HttpResponse::Ok().json(Explanation { explanation }))
}

/// One post with its analysis.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")),
    responses((status = 200, description = "The post", body = PostDto), NoSuch, Common)
)]
#[get("/api/posts/{id}")]
pub async fn read(state: Data<State>, id: Path<i64>) -> Result<HttpResponse, Problem> {
    let post = posts::get(&state.ctx, None, PostId(*id)).await?;
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

/// Change one's own post; a new text is judged anew.
#[utoipa::path(
    tag = "posts", params(("id" = i64, Path, description = "The post")), request_body = PostInput,
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
    Body(input): Body<PostInput>,
) -> Result<HttpResponse, Problem> {
    let new = input.parse(&state, request_id)?;
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

/// Delete one's own post.
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
