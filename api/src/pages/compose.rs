//! `/compose`: writing a post or an answer, by oneself or with a suggestion of the language model.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Query},
};
use askama::Template;
use domain::{
    auth::Session,
    ids::PostId,
    posts::{self, NewPost, PostText, PostView},
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
    /// Whether there are more answers to that than the page shows, so that a new one has no place on it.
    pub more: bool,
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
            more: false,
            most: state.content_max_characters,
            inline: true,
        }
    }

    /// The same for an answer.
    #[must_use]
    pub fn answering(self, post: PostId, more: bool) -> Self {
        Self {
            reply_to: Some(post.0),
            more,
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
    more: Option<String>,
}

impl Draft {
    /// The form that it was sent with, emptied.
    fn form(&self, state: &State, visitor: &Visitor) -> Compose {
        Compose {
            reply_to: self.reply_to,
            more: self.more.is_some(),
            ..Compose::new(state, visitor)
        }
    }
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
        Some(id) => match posts::get(&state.ctx, visitor.id(), PostId(id)).await {
            Ok(post) => Some(post),
            // What was written is shown with its refusal, even if what it answers has gone.
            Err(domain::Error::NotFound(_)) if !status.is_success() => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let (title, address) = match compose.reply_to {
        Some(id) => ("Reply", format!("/compose?reply_to={id}")),
        None => ("Write", "/compose".to_owned()),
    };
    let shell = layout::shell(state, visitor, title, Place::Nowhere).await?;
    let page = ComposePage {
        // Where a form was sent to may be no page to come back to.
        shell: Shell { address, ..shell },
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

async fn write(
    state: &State,
    session: &Session,
    draft: &Draft,
    request_id: RequestId,
) -> domain::Result<PostView> {
    let new = NewPost {
        text: PostText::parse(&draft.content, state.content_max_characters)?,
        reply_to: draft.reply_to.map(PostId),
        request_id: request_id.0,
    };
    posts::create(&state.ctx, &session.user, new).await
}

/// `POST /compose`.
pub async fn send(
    state: Data<State>,
    request_id: RequestId,
    form: Form<Draft>,
) -> Result<HttpResponse, Problem> {
    let session = form.member()?;
    let draft = &form.input;
    let empty = draft.form(&state, &form);
    let post = match write(&state, session, draft, request_id).await {
        Ok(post) => post,
        Err(error) => {
            let (status, faults) = Faults::refusing(error.into(), "content");
            let compose = Compose {
                faults,
                content: draft.content.clone(),
                ..empty
            };
            return show(&state, &form, status, compose).await;
        }
    };
    if form.partial {
        let written = Written {
            compose: empty,
            card: Card::new(&post, form.id(), state.ctx.clock.now()),
        };
        return layout::html(StatusCode::OK, &form, &written);
    }
    Ok(layout::see(&match draft.reply_to {
        Some(parent) => format!("/posts/{parent}#p-{}", post.id),
        None => format!("/posts/{}", post.id),
    }))
}

/// The form with the model's text after the visitor's own, or beside it when the two are too long for one post.
fn suggested(compose: Compose, own: &str, suggestion: String) -> Compose {
    let own = own.trim_end();
    let both = match own {
        "" => suggestion.clone(),
        own => format!("{own}\n\n{suggestion}"),
    };
    if own.is_empty() || PostText::parse(&both, compose.most).is_ok() {
        Compose {
            content: both,
            notice: Some("A suggestion: change it as you like, or leave it.".into()),
            ..compose
        }
    } else {
        Compose {
            content: own.to_owned(),
            notice: Some(format!(
                "A suggestion, which does not fit in with yours: {suggestion}"
            )),
            ..compose
        }
    }
}

/// `POST /compose/suggest`: the form with a text of the model's added to the visitor's own; with that alone when the
/// model is away.
pub async fn suggest(
    state: Data<State>,
    request_id: RequestId,
    form: Form<Draft>,
) -> Result<HttpResponse, Problem> {
    form.member()?;
    let compose = form.input.form(&state, &form);
    let suggestion = state.llm.generate(SUGGESTION, &request_id.0).await;
    match suggestion.map_err(domain::Error::from) {
        Ok(suggestion) => {
            let compose = suggested(compose, &form.input.content, suggestion);
            show(&state, &form, StatusCode::OK, compose).await
        }
        Err(error) => {
            let problem = Problem::from(error);
            let compose = Compose {
                content: form.input.content.clone(),
                faults: Faults::one("form", layout::capital(&problem.body.message)),
                ..compose
            };
            show(&state, &form, problem.status, compose).await
        }
    }
}
