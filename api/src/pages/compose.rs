//! `/compose`: writing a post or an answer, by oneself or with a suggestion of the language model.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Query},
};
use askama::Template;
use domain::{
    ids::PostId,
    posts::{self, NewPost, PostText},
};
use serde::Deserialize;

use super::{
    card::Card,
    layout::{self, Faults, Place, Shell},
    visitor::{Form, Visitor},
};
use crate::{extract::RequestId, problem::Problem, routes::State};

/// The longest post the model is asked to suggest, in characters.
const SUGGESTION: usize = 140;

/// The form.
pub struct Compose {
    /// What makes it the visitor's.
    pub csrf: String,
    /// What is in it.
    pub content: String,
    /// What is wrong with that.
    pub faults: Faults,
    /// What else is to be said, good or bad.
    pub notice: Option<String>,
    /// The post that it answers.
    pub reply_to: Option<i64>,
    /// The longest post, in characters.
    pub most: usize,
    /// Whether it is part of a page that shows what was written with it.
    pub inline: bool,
}

impl Compose {
    /// An empty form.
    #[must_use]
    pub fn new(state: &State, visitor: &Visitor) -> Self {
        Self {
            csrf: visitor.csrf.clone(),
            content: String::new(),
            faults: Faults::default(),
            notice: None,
            reply_to: None,
            most: state.content_max_characters,
            inline: true,
        }
    }

    /// The same for an answer.
    #[must_use]
    pub fn answering(self, post: PostId) -> Self {
        Self {
            reply_to: Some(post.0),
            ..self
        }
    }
}

#[derive(Template)]
#[template(path = "compose.html")]
struct ComposePage<'a> {
    shell: Shell,
    compose: Compose,
    parent: Option<Card<'a>>,
}

/// The form, emptied, and beside it what was written with it: htmx puts that where it belongs.
#[derive(Template)]
#[template(path = "post/written.html")]
struct Written<'a> {
    compose: Compose,
    card: Card<'a>,
}

/// The form by itself.
#[derive(Template)]
#[template(path = "post/compose.html")]
struct ComposePart {
    compose: Compose,
}

/// What the form is opened with.
#[derive(Deserialize)]
pub struct Opening {
    reply_to: Option<i64>,
    text: Option<String>,
}

/// What the form sends.
#[derive(Deserialize)]
pub struct Draft {
    #[serde(default)]
    content: String,
    reply_to: Option<i64>,
}

async fn show(
    state: &State,
    visitor: &Visitor,
    status: StatusCode,
    compose: Compose,
) -> Result<HttpResponse, Problem> {
    if visitor.partial {
        let mut response = HttpResponse::build(status);
        response
            .insert_header(("hx-retarget", "#compose"))
            .insert_header(("hx-reswap", "outerHTML"));
        return layout::html_with(response, visitor, &ComposePart { compose });
    }
    let parent = match compose.reply_to {
        Some(id) => Some(posts::get(&state.ctx, visitor.id(), PostId(id)).await?),
        None => None,
    };
    let title = if parent.is_some() { "Reply" } else { "Write" };
    let page = ComposePage {
        shell: layout::shell(state, visitor, title, Place::Nowhere).await?,
        compose: Compose {
            inline: false,
            ..compose
        },
        parent: parent
            .as_ref()
            .map(|post| Card::new(post, visitor.id(), state.ctx.clock.now())),
    };
    layout::html(status, visitor, &page)
}

/// `GET /compose`.
pub async fn form(
    state: Data<State>,
    visitor: Visitor,
    query: Query<Opening>,
) -> Result<HttpResponse, Problem> {
    visitor.member()?;
    let Opening { reply_to, text } = query.into_inner();
    let compose = Compose {
        content: text.unwrap_or_default(),
        reply_to,
        ..Compose::new(&state, &visitor)
    };
    show(&state, &visitor, StatusCode::OK, compose).await
}

/// `POST /compose`.
pub async fn send(
    state: Data<State>,
    request_id: RequestId,
    form: Form<Draft>,
) -> Result<HttpResponse, Problem> {
    let session = form.member()?;
    let Draft { content, reply_to } = &form.input;
    let empty = Compose {
        reply_to: *reply_to,
        ..Compose::new(&state, &form)
    };
    let text = match PostText::parse(content, state.content_max_characters) {
        Ok(text) => text,
        Err(violation) => {
            let compose = Compose {
                faults: Faults::from_problem(violation.into(), "content")?,
                content: content.clone(),
                ..empty
            };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return show(&state, &form, status, compose).await;
        }
    };
    let new = NewPost {
        text,
        reply_to: reply_to.map(PostId),
        request_id: request_id.0,
    };
    let post = posts::create(&state.ctx, &session.user, new).await?;
    if form.partial {
        let written = Written {
            compose: empty,
            card: Card::new(&post, form.id(), state.ctx.clock.now()),
        };
        return layout::html(StatusCode::OK, &form, &written);
    }
    Ok(layout::see(&match reply_to {
        Some(parent) => format!("/posts/{parent}#p-{}", post.id),
        None => format!("/posts/{}", post.id),
    }))
}

/// `POST /compose/suggest`: the form with a text of the model's in it; with the visitor's own when the model is away.
pub async fn suggest(
    state: Data<State>,
    request_id: RequestId,
    form: Form<Draft>,
) -> Result<HttpResponse, Problem> {
    form.member()?;
    let compose = Compose {
        reply_to: form.input.reply_to,
        ..Compose::new(&state, &form)
    };
    let suggestion = state.llm.generate(SUGGESTION, &request_id.0).await;
    match suggestion.map_err(domain::Error::from) {
        Ok(content) => {
            let compose = Compose {
                content,
                notice: Some("A suggestion: change it as you like, or leave it.".into()),
                ..compose
            };
            show(&state, &form, StatusCode::OK, compose).await
        }
        Err(error) => {
            let problem = Problem::from(error);
            let compose = Compose {
                content: form.input.content.clone(),
                faults: Faults::one("suggest", layout::capital(&problem.body.message)),
                ..compose
            };
            show(&state, &form, problem.status, compose).await
        }
    }
}
