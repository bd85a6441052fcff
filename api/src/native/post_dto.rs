//! A post as callers see it, and lists of posts.

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use domain::{
    analysis::{AnalysisView, Polarity, Safety, Status},
    ids::PostId,
    page::{Limit, Page},
    posts::PostView,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::link_next;

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
    /// What the caller has done with it. Null without a login, and on the public feed's first page, which is the same for
    /// everybody.
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
pub(super) fn render(posts: &[PostView]) -> Vec<u8> {
    let posts: Vec<PostDto<'_>> = posts.iter().map(PostDto::from).collect();
    serde_json::to_vec(&posts).unwrap_or_else(|_| b"[]".to_vec())
}

/// The answer of a list of posts, newest first, that continues below an id.
pub(super) fn answer(path: &str, limit: Limit, page: Page<PostView>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    link_next(&mut response, path, limit.get(), page.next);
    let posts: Vec<PostDto<'_>> = page.items.iter().map(PostDto::from).collect();
    response.json(posts)
}
