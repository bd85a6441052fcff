//! `/posts/{id}`: a post and its conversation; changing and deleting one's own.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Path, Query},
};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::{
    analysis::Safety,
    auth::Session,
    bookmarks,
    ids::{PostId, UserId},
    likes,
    page::Limit,
    posts::{self, NewPost, PostText, PostView},
};
use serde::Deserialize;

use super::{
    Walk,
    card::{ActsPage, Card, CardPage},
    compose::Compose,
    layout::{self, Faults, Place, Shell},
    time::When,
    visitor::{Button, Form, Visitor},
};
use crate::{extract::RequestId, problem::Problem, routes::State};

#[derive(Template)]
#[template(path = "post.html")]
struct PostPage<'a> {
    shell: Shell,
    above: Vec<Card<'a>>,
    card: Card<'a>,
    compose: Compose,
    replies: Replies<'a>,
}

/// Answers, oldest first.
struct Replies<'a> {
    cards: Vec<Card<'a>>,
    /// Where there are more.
    more: Option<String>,
}

/// More answers, for the end of those that are shown already.
#[derive(Template)]
#[template(path = "post/replies.html")]
struct RepliesPage<'a> {
    replies: Replies<'a>,
}

/// Which answers.
#[derive(Deserialize)]
pub struct After {
    after: Option<String>,
}

impl After {
    fn parse(&self) -> Result<(Limit, Option<i64>), Problem> {
        // Ids grow, so this list goes on above one; the rule is the same.
        let walk = Walk {
            before: self.after.clone(),
        };
        walk.parse()
    }
}

fn cards(posts: &[PostView], viewer: Option<UserId>, now: DateTime<Utc>) -> Vec<Card<'_>> {
    let cards = posts
        .iter()
        .map(|post| Card::new(post, viewer, now).below());
    cards.collect()
}

/// `GET /posts/{id}`.
pub async fn show(
    state: Data<State>,
    visitor: Visitor,
    id: Path<i64>,
    query: Query<After>,
) -> Result<HttpResponse, Problem> {
    let (id, viewer) = (PostId(*id), visitor.id());
    let (limit, after) = query.parse()?;
    let thread = posts::thread(&state.ctx, viewer, id, after, limit).await?;
    let now = state.ctx.clock.now();
    let replies = Replies {
        cards: cards(&thread.replies.items, viewer, now),
        more: thread
            .replies
            .next
            .map(|after| format!("/posts/{id}?after={after}")),
    };
    if visitor.partial && after.is_some() {
        return layout::html(StatusCode::OK, &visitor, &RepliesPage { replies });
    }
    let mut card = Card::new(&thread.post, viewer, now).big();
    // The parent stands above it, unless it has gone.
    card.names_parent = thread.ancestors.is_empty();
    let title = format!("{} on Linnet", card.by.name);
    let page = PostPage {
        shell: layout::shell(&state, &visitor, title, Place::Nowhere).await?,
        above: cards(&thread.ancestors, viewer, now),
        compose: Compose::new(&state, &visitor).answering(id, replies.more.is_some()),
        replies,
        card,
    };
    layout::html(StatusCode::OK, &visitor, &page)
}

/// `GET /posts/{id}/card`: the post by itself, for a page that shows an older state of it.
pub async fn card(
    state: Data<State>,
    visitor: Visitor,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = posts::get(&state.ctx, visitor.id(), PostId(*id)).await?;
    let card = Card::new(&post, visitor.id(), state.ctx.clock.now());
    layout::html(StatusCode::OK, &visitor, &CardPage { card })
}

#[derive(Template)]
#[template(path = "edit.html")]
struct EditPage {
    shell: Shell,
    id: i64,
    content: String,
    faults: Faults,
    most: usize,
}

#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage<'a> {
    shell: Shell,
    card: Card<'a>,
}

/// The visitor's own post.
async fn own(state: &State, visitor: &Visitor, id: i64) -> Result<PostView, Problem> {
    let session = visitor.member()?;
    let post = posts::get(&state.ctx, visitor.id(), PostId(id)).await?;
    if post.user_id == session.user.id {
        Ok(post)
    } else {
        Err(domain::Error::Forbidden("this post is somebody else's").into())
    }
}

/// `GET /posts/{id}/edit`.
pub async fn edit_form(
    state: Data<State>,
    visitor: Visitor,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = own(&state, &visitor, *id).await?;
    let page = EditPage {
        shell: layout::shell(&state, &visitor, "Edit post", Place::Nowhere).await?,
        id: *id,
        content: post.content,
        faults: Faults::default(),
        most: state.content_max_characters,
    };
    layout::html(StatusCode::OK, &visitor, &page)
}

/// The new text.
#[derive(Deserialize)]
pub struct NewText {
    #[serde(default)]
    content: String,
}

/// `POST /posts/{id}/edit`.
pub async fn edit(
    state: Data<State>,
    id: Path<i64>,
    request_id: RequestId,
    form: Form<NewText>,
) -> Result<HttpResponse, Problem> {
    let session = form.member()?;
    let content = &form.input.content;
    match change(&state, session, (PostId(*id), content), request_id).await {
        Ok(post) => Ok(layout::see(&format!("/posts/{}", post.id))),
        Err(error) => {
            let (status, faults) = Faults::refusing(error.into(), "content");
            let page = EditPage {
                shell: layout::shell(&state, &form, "Edit post", Place::Nowhere).await?,
                id: *id,
                content: content.clone(),
                faults,
                most: state.content_max_characters,
            };
            layout::html(status, &form, &page)
        }
    }
}

async fn change(
    state: &State,
    session: &Session,
    (id, content): (PostId, &str),
    request_id: RequestId,
) -> domain::Result<PostView> {
    let new = NewPost {
        text: PostText::parse(content, state.content_max_characters)?,
        reply_to: None,
        request_id: request_id.0,
    };
    posts::update(&state.ctx, &session.user, id, new).await
}

/// `GET /posts/{id}/delete`.
pub async fn delete_form(
    state: Data<State>,
    visitor: Visitor,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let post = own(&state, &visitor, *id).await?;
    let page = DeletePage {
        shell: layout::shell(&state, &visitor, "Delete post", Place::Nowhere).await?,
        card: Card::new(&post, visitor.id(), state.ctx.clock.now()),
    };
    layout::html(StatusCode::OK, &visitor, &page)
}

/// `POST /posts/{id}/delete`.
pub async fn delete(
    state: Data<State>,
    id: Path<i64>,
    form: Form<Button>,
) -> Result<HttpResponse, Problem> {
    let session = form.member()?;
    posts::delete(&state.ctx, &session.user, PostId(*id)).await?;
    Ok(layout::see("/"))
}

/// What one can do about a post.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// Like it.
    Like,
    /// Like it no more.
    Unlike,
    /// Show it to one's followers.
    Repost,
    /// Show it no more.
    Unrepost,
    /// Keep it.
    Bookmark,
    /// Keep it no more.
    Unbookmark,
}

/// What a button of a post sends.
#[derive(Deserialize)]
pub struct Pressed {
    /// The place in a list where the post was seen: its own, or that of a repost.
    entry: Option<i64>,
}

/// `POST /posts/{id}/{deed}`.
pub async fn deed(
    state: Data<State>,
    path: Path<(i64, Deed)>,
    form: Form<Pressed>,
) -> Result<HttpResponse, Problem> {
    let (id, deed) = path.into_inner();
    let (ctx, user, id) = (&state.ctx, &form.member()?.user, PostId(id));
    let entry = form.input.entry.map_or(id, PostId);
    let mut post = match deed {
        Deed::Like => likes::like(ctx, user, id).await,
        Deed::Unlike => likes::unlike(ctx, user, id).await,
        Deed::Repost => posts::repost(ctx, user, id).await,
        Deed::Unrepost => posts::unrepost(ctx, user, id).await,
        Deed::Bookmark => bookmarks::add(ctx, user, id).await,
        Deed::Unbookmark => bookmarks::remove(ctx, user, id).await,
    }?;
    if form.partial {
        // The buttons go back to where they were pressed.
        post.entry = entry;
        let card = Card::new(&post, form.id(), ctx.clock.now());
        return layout::html(StatusCode::OK, &form, &ActsPage { card });
    }
    let page = form.next().split('#').next().unwrap_or_default();
    Ok(layout::see(&format!("{page}#p-{entry}")))
}

/// What a post said at a time.
struct Said {
    when: When,
    text: String,
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    shell: Shell,
    id: PostId,
    veiled: bool,
    texts: Vec<Said>,
}

/// `GET /posts/{id}/history`: what the post says and said, newest first.
pub async fn history(
    state: Data<State>,
    visitor: Visitor,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let id = PostId(*id);
    let edits = posts::history(&state.ctx, visitor.id(), id).await?;
    let post = posts::get(&state.ctx, visitor.id(), id).await?;
    // The verdict is on the text of today; the ones before it are likely of its kind.
    let safety = post.analysis.and_then(|analysis| analysis.safety);
    let veiled = safety == Some(Safety::Dangerous);
    let now = state.ctx.clock.now();
    let said = edits.into_iter().rev().map(|edit| Said {
        when: When::new(edit.created_at, now),
        text: edit.content,
    });
    let page = HistoryPage {
        shell: layout::shell(&state, &visitor, "History of a post", Place::Nowhere).await?,
        id,
        veiled,
        texts: said.collect(),
    };
    layout::html(StatusCode::OK, &visitor, &page)
}
