//! `/posts/{id}`: a post and its conversation; changing and deleting one's own.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Path},
};
use askama::Template;
use domain::{
    ids::PostId,
    posts::{self, NewPost, PostText, PostView},
};
use serde::Deserialize;

use super::{
    card::{Card, CardPage},
    compose::Compose,
    layout::{self, Faults, Place, Shell},
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
    replies: Vec<Card<'a>>,
    more: Option<String>,
}

/// `GET /posts/{id}`.
pub async fn show(
    state: Data<State>,
    visitor: Visitor,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let id = PostId(*id);
    let post = posts::get(&state.ctx, visitor.id(), id).await?;
    let now = state.ctx.clock.now();
    let card = Card::new(&post, visitor.id(), now).big();
    let title = format!("{} on Linnet", card.by.name);
    let page = PostPage {
        shell: layout::shell(&state, &visitor, title, Place::Nowhere).await?,
        above: Vec::new(),
        compose: Compose::new(&state, &visitor).answering(id),
        replies: Vec::new(),
        more: None,
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
    let text = match PostText::parse(content, state.content_max_characters) {
        Ok(text) => text,
        Err(violation) => {
            let page = EditPage {
                shell: layout::shell(&state, &form, "Edit post", Place::Nowhere).await?,
                id: *id,
                content: content.clone(),
                faults: Faults::from_problem(violation.into(), "content")?,
                most: state.content_max_characters,
            };
            return layout::html(StatusCode::UNPROCESSABLE_ENTITY, &form, &page);
        }
    };
    let new = NewPost {
        text,
        request_id: request_id.0,
    };
    let post = posts::update(&state.ctx, &session.user, PostId(*id), new).await?;
    Ok(layout::see(&format!("/posts/{}", post.id)))
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
