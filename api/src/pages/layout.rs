//! What is around every page: its head, the navigation, who is logged in; and the headers that pages are sent with.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
};
use askama::Template;
use domain::notifications;

use super::{
    explore::{self, Trends},
    visitor::Visitor,
};
use crate::{problem::Problem, routes::State};

/// What a page may load and do: its own files, forms to itself, nothing inline, and no frame around it.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                          connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Where in the navigation a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The timelines.
    Home,
    /// Trends and search.
    Explore,
    /// What others did.
    Notifications,
    /// What was kept.
    Bookmarks,
    /// The viewer's own page.
    Me,
    /// The viewer's account.
    Settings,
    /// Somewhere else.
    Nowhere,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Explore => "explore",
            Self::Notifications => "notifications",
            Self::Bookmarks => "bookmarks",
            Self::Me => "me",
            Self::Settings => "settings",
            Self::Nowhere => "nowhere",
        }
    }
}

/// Who is logged in.
pub struct Me {
    /// Their number.
    pub id: i64,
    /// Their name.
    pub username: String,
}

/// What is around a page.
pub struct Shell {
    /// The page's name.
    pub title: String,
    /// Where in the navigation it is.
    pub place: Place,
    /// Who is logged in.
    pub me: Option<Me>,
    /// What their forms carry.
    pub csrf: String,
    /// The page's own address, to come back to.
    pub address: String,
    /// Notifications that they have not read.
    pub unread: i64,
    /// What the last hours are about.
    pub trends: Trends,
}

impl Shell {
    /// Whether the page is at the place with this name.
    #[must_use]
    pub fn at(&self, place: &str) -> bool {
        self.place.name() == place
    }

    /// The page's own address, as part of another.
    #[must_use]
    pub fn back(&self) -> String {
        super::encoded(&self.address)
    }

    /// The badge's text.
    #[must_use]
    pub fn badge(&self) -> String {
        match self.unread {
            100.. => "99+".into(),
            unread => unread.to_string(),
        }
    }
}

/// What is around a page for this visitor.
///
/// # Errors
/// Those of the database.
pub async fn shell(
    state: &State,
    visitor: &Visitor,
    title: impl Into<String>,
    place: Place,
) -> Result<Shell, Problem> {
    let me = visitor.session.as_ref().map(|session| Me {
        id: session.user.id.0,
        username: session.user.username.clone(),
    });
    let unread = match visitor.id() {
        Some(id) => notifications::unread(&state.ctx, id).await?,
        None => 0,
    };
    Ok(Shell {
        title: title.into(),
        place,
        me,
        csrf: visitor.csrf.clone(),
        address: visitor.address.clone(),
        unread,
        trends: explore::current(state).await?,
    })
}

/// The headers that go with any HTML. `private` is what nobody else may see, nor a cache keep.
pub fn headers(response: &mut HttpResponseBuilder, private: bool) {
    let keep = if private {
        "private, no-store"
    } else {
        "no-cache"
    };
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"))
        .insert_header((
            "permissions-policy",
            "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        ))
        .insert_header((header::CACHE_CONTROL, keep))
        .insert_header((header::VARY, "cookie, hx-request"))
        .content_type("text/html; charset=utf-8");
}

/// A page, or a part of one, as an answer.
///
/// # Errors
/// 500, when the template fails.
pub fn html(
    status: StatusCode,
    visitor: &Visitor,
    page: &impl Template,
) -> Result<HttpResponse, Problem> {
    html_with(HttpResponse::build(status), visitor, page)
}

/// The same with headers of its own.
///
/// # Errors
/// 500, when the template fails.
pub fn html_with(
    mut response: HttpResponseBuilder,
    visitor: &Visitor,
    page: &impl Template,
) -> Result<HttpResponse, Problem> {
    let body = page.render().map_err(domain::Error::internal)?;
    headers(&mut response, visitor.session.is_some());
    Ok(response.body(body))
}

/// Goes on to another page, which is then asked for by GET.
#[must_use]
pub fn see(path: &str) -> HttpResponse {
    see_with(HttpResponse::SeeOther(), path)
}

/// The same with headers of its own.
#[must_use]
pub fn see_with(mut response: HttpResponseBuilder, path: &str) -> HttpResponse {
    response
        .insert_header((header::LOCATION, path))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

/// What is wrong with a form, by field; a sentence each.
#[derive(Default)]
pub struct Faults(Vec<(String, String)>);

impl Faults {
    /// One fault.
    #[must_use]
    pub fn one(field: &str, sentence: impl Into<String>) -> Self {
        Self(vec![(field.to_owned(), sentence.into())])
    }

    /// What is wrong with `field`, for templates.
    #[must_use]
    pub fn of(&self, field: &str) -> Option<&str> {
        let mut faults = self.0.iter();
        let fault = faults.find(|(named, _)| named == field);
        fault.map(|(_, sentence)| sentence.as_str())
    }

    /// The same with a fault more, if there is one.
    #[must_use]
    pub fn and(mut self, other: Option<Self>) -> Self {
        self.0.extend(other.into_iter().flat_map(|other| other.0));
        self
    }

    /// The same under another field's name.
    #[must_use]
    pub fn called(self, field: &str) -> Self {
        let faults = self.0.into_iter();
        Self(faults.map(|(_, said)| (field.to_owned(), said)).collect())
    }

    /// The refusal of a form's only text, `field`, in that form: its status, and what to say beside the field, or under
    /// the name "form" what is not about it.
    #[must_use]
    pub fn refusing(problem: Problem, field: &str) -> (StatusCode, Self) {
        let status = problem.status;
        let whole = Self::one("form", capital(&problem.body.message));
        let faults = Self::from_problem(problem, "form").ok();
        let fits = |faults: &Self| faults.of(field).or(faults.of("form")).is_some();
        (status, faults.filter(fits).unwrap_or(whole))
    }

    /// Takes the faults that a form can show out of a problem: 422, and 409 for `taken`, the field that must be unique.
    ///
    /// # Errors
    /// The problem, when it is of another kind.
    pub fn from_problem(problem: Problem, taken: &str) -> Result<Self, Problem> {
        match problem.status {
            StatusCode::CONFLICT => Ok(Self::one(taken, capital(&problem.body.message))),
            StatusCode::UNPROCESSABLE_ENTITY => Ok(Self(
                problem
                    .body
                    .errors
                    .iter()
                    .map(|error| {
                        let length = error.length.map(|length| format!(" (it has {length})"));
                        let length = length.unwrap_or_default();
                        (
                            error.field.to_string(),
                            format!("Must {}{length}.", error.rule),
                        )
                    })
                    .collect(),
            )),
            _ => Err(problem),
        }
    }
}

/// A sentence as it stands by itself.
#[must_use]
pub fn capital(sentence: &str) -> String {
    let end = if sentence.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{}{end}", upper(sentence))
}

/// Words with a capital first letter.
#[must_use]
pub fn upper(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(char::to_uppercase);
    let first: String = first.into_iter().flatten().collect();
    first + letters.as_str()
}
