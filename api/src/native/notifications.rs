//! `/api/notifications`: what others did that concerns the caller.

use actix_web::{
    HttpResponse, get, post,
    web::{Data, Query},
};
use chrono::{DateTime, Utc};
use domain::{
    error::Violation,
    ids::{PostId, UserId},
    notifications::{self, Actor, Kind, NotificationView, PostExcerpt},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::link_next;
use crate::{
    extract::{Body, CurrentUser, PageQuery},
    openapi::{BadBody, Common, LoginNeeded, Refused},
    problem::Problem,
    routes::State,
};

/// Who did something.
#[derive(Serialize, ToSchema)]
pub struct ActorDto {
    #[schema(value_type = i64)]
    id: UserId,
    #[schema(example = "ada")]
    username: String,
    /// What they want to be called; empty when by their username.
    display_name: String,
}

impl From<Actor> for ActorDto {
    fn from(actor: Actor) -> Self {
        Self {
            id: actor.id,
            username: actor.username,
            display_name: actor.display_name,
        }
    }
}

/// The beginning of a post.
#[derive(Serialize, ToSchema)]
pub struct ExcerptDto {
    #[schema(value_type = i64)]
    id: PostId,
    /// At most 140 characters; one that was cut ends with `…`.
    excerpt: String,
}

impl From<PostExcerpt> for ExcerptDto {
    fn from(post: PostExcerpt) -> Self {
        Self {
            id: post.id,
            excerpt: post.excerpt,
        }
    }
}

/// Something that somebody did.
#[derive(Serialize, ToSchema)]
pub struct NotificationDto {
    id: i64,
    /// `reply`, `mention`, `like`, `repost` or `follow`.
    #[schema(value_type = String, example = "like")]
    kind: Kind,
    created_at: DateTime<Utc>,
    /// Whether it has been marked as read.
    read: bool,
    /// Who did it.
    actor: ActorDto,
    /// The reply, the mentioning post, or one's own post that was liked or reposted.
    post: Option<ExcerptDto>,
}

impl From<NotificationView> for NotificationDto {
    fn from(notification: NotificationView) -> Self {
        Self {
            id: notification.id,
            kind: notification.kind,
            created_at: notification.created_at,
            read: notification.read,
            actor: notification.actor.into(),
            post: notification.post.map(ExcerptDto::from),
        }
    }
}

/// What others did that concerns the caller, newest first; kept for 90 days.
///
/// What came from people who have gone or are blocked or muted by now, and what was about posts that have gone, is left
/// out.
#[utoipa::path(
    tag = "notifications", params(PageQuery), security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Notifications, newest first", body = Vec<NotificationDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, LoginNeeded, Common,
    )
)]
#[get("/api/notifications")]
pub async fn list(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let page = notifications::list(&state.ctx, &session.user, before, limit).await?;
    let mut response = HttpResponse::Ok();
    link_next(&mut response, "/api/notifications", limit.get(), page.next);
    let items: Vec<NotificationDto> = page.items.into_iter().map(NotificationDto::from).collect();
    Ok(response.json(items))
}

/// How many notifications are unread.
#[derive(Serialize, ToSchema)]
pub struct UnreadDto {
    /// 1000 means so many or more.
    #[schema(example = 3)]
    unread: i64,
}

/// How many of one's notifications are unread.
#[utoipa::path(
    tag = "notifications", security(("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The number", body = UnreadDto), LoginNeeded, Common)
)]
#[get("/api/notifications/unread")]
pub async fn count_unread(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
) -> Result<HttpResponse, Problem> {
    let unread = notifications::unread(&state.ctx, session.user.id).await?;
    Ok(HttpResponse::Ok().json(UnreadDto { unread }))
}

/// What to mark as read.
#[derive(Deserialize, ToSchema)]
pub struct ReadInput {
    /// The newest notification that has been seen; all, when not given.
    #[schema(example = 17, minimum = 1)]
    up_to: Option<i64>,
}

/// Mark notifications as read.
#[utoipa::path(
    tag = "notifications", request_body = ReadInput, security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "How many are unread now", body = UnreadDto),
        BadBody, LoginNeeded, Common,
    )
)]
#[post("/api/notifications/read")]
pub async fn mark_read(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    Body(input): Body<ReadInput>,
) -> Result<HttpResponse, Problem> {
    if input.up_to.is_some_and(|id| id < 1) {
        return Err(Violation {
            field: "up_to",
            rule: "be the id of a notification (1 or more)".into(),
            length: None,
        }
        .into());
    }
    let unread = notifications::mark_read(&state.ctx, session.user.id, input.up_to).await?;
    Ok(HttpResponse::Ok().json(UnreadDto { unread }))
}
