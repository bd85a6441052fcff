//! `/notifications`: what others did that concerns the visitor. Seeing them is reading them.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Query},
};
use askama::Template;
use domain::notifications::{self, Kind, NotificationView};

use super::{
    Walk,
    card::By,
    layout::{self, Place, Shell},
    time::When,
    visitor::Visitor,
};
use crate::{problem::Problem, routes::State};

/// One of them.
struct Told<'a> {
    icon: &'static str,
    by: By<'a>,
    did: &'static str,
    /// Where to look, the words there, and whether they are behind a veil.
    post: Option<(String, &'a str, bool)>,
    when: When,
    new: bool,
}

impl<'a> Told<'a> {
    fn new(view: &'a NotificationView, now: chrono::DateTime<chrono::Utc>) -> Self {
        let (icon, did) = match view.kind {
            Kind::Reply => ("reply", "replied to you"),
            Kind::Mention => ("at", "mentioned you"),
            Kind::Like => ("heart", "likes your post"),
            Kind::Repost => ("repost", "reposted your post"),
            Kind::Follow => ("person", "follows you"),
        };
        let post = view.post.as_ref();
        Self {
            icon,
            by: By::new(&view.actor.username, &view.actor.display_name),
            did,
            post: post.map(|post| {
                let to = format!("/posts/{}", post.id);
                (to, post.excerpt.as_str(), post.dangerous)
            }),
            when: When::new(view.created_at, now),
            new: !view.read,
        }
    }
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct NotificationsPage<'a> {
    shell: Shell,
    all: Vec<Told<'a>>,
    older: Option<String>,
}

/// More of them, for the end of those that are shown already.
#[derive(Template)]
#[template(path = "notified.html")]
struct MorePage<'a> {
    all: Vec<Told<'a>>,
    older: Option<String>,
}

/// `GET /notifications`.
pub async fn list(
    state: Data<State>,
    visitor: Visitor,
    query: Query<Walk>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let (ctx, user) = (&state.ctx, &visitor.member()?.user);
    let page = notifications::list(ctx, user, before, limit).await?;
    let now = ctx.clock.now();
    let all: Vec<Told<'_>> = page.items.iter().map(|it| Told::new(it, now)).collect();
    let older = page
        .next
        .map(|before| format!("/notifications?before={before}"));
    // Up to what is shown: what has come since is still to be seen.
    if let (Some(newest), None) = (page.items.first(), before)
        && all.iter().any(|told| told.new)
    {
        notifications::mark_read(ctx, user.id, Some(newest.id)).await?;
    }
    if visitor.partial && before.is_some() {
        return layout::html(StatusCode::OK, &visitor, &MorePage { all, older });
    }
    let page = NotificationsPage {
        shell: layout::shell(&state, &visitor, "Notifications", Place::Notifications).await?,
        all,
        older,
    };
    layout::html(StatusCode::OK, &visitor, &page)
}
