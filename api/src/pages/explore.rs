//! `/explore`: what the last hours are about, and who is new. `/tags/{tag}` and `/topics/{topic}`: the posts behind it.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Path, Query},
};
use askama::Template;
use domain::{
    page::{Limit, Page},
    posts::PostView,
    profiles,
    trends::{self, Tag, Topic},
    users,
};

use super::{
    Walk,
    card::{Feed, FeedPage},
    encoded,
    layout::{self, Place, Shell},
    people::Row,
    visitor::Visitor,
};
use crate::{problem::Problem, routes::State};

/// People who have just come.
const NEW: i64 = 6;

/// Something that several people write about.
pub struct Link {
    /// What it is called, a tag with its `#`.
    pub name: String,
    /// Where its posts are.
    pub to: String,
    /// By how many people.
    pub people: i32,
}

/// What the last hours are about.
#[derive(Default)]
pub struct Trends {
    /// By tags.
    pub tags: Vec<Link>,
    /// By topics.
    pub topics: Vec<Link>,
}

/// The trends, as links.
///
/// # Errors
/// Those of the database.
pub async fn current(state: &State) -> Result<Trends, Problem> {
    let trends = trends::current(&state.ctx).await?;
    let link = |trend: trends::Trend, kind: &str, sign: &str| Link {
        to: format!("/{kind}/{}", encoded(&trend.name)),
        name: format!("{sign}{}", trend.name),
        people: trend.people,
    };
    let (tags, topics) = (trends.tags.into_iter(), trends.topics.into_iter());
    Ok(Trends {
        tags: tags.map(|trend| link(trend, "tags", "#")).collect(),
        topics: topics.map(|trend| link(trend, "topics", "")).collect(),
    })
}

#[derive(Template)]
#[template(path = "explore.html")]
struct ExplorePage<'a> {
    shell: Shell,
    people: Vec<Row<'a>>,
    /// There is no end to newcomers; the list has one.
    older: Option<String>,
}

/// `GET /explore`.
pub async fn explore(state: Data<State>, visitor: Visitor) -> Result<HttpResponse, Problem> {
    let (ctx, viewer) = (&state.ctx, visitor.id());
    let newest = users::list(ctx, viewer, None, Limit::parse(NEW)?).await?;
    let ids: Vec<_> = newest.items.iter().map(|user| user.id).collect();
    let people = profiles::people(ctx, viewer, &ids).await?;
    let page = ExplorePage {
        shell: layout::shell(&state, &visitor, "Explore", Place::Explore).await?,
        people: people
            .iter()
            .map(|person| Row::new(person, viewer))
            .collect(),
        older: None,
    };
    layout::html(StatusCode::OK, &visitor, &page)
}

#[derive(Template)]
#[template(path = "subject.html")]
struct SubjectPage<'a> {
    shell: Shell,
    name: String,
    hint: &'static str,
    first: bool,
    feed: Feed<'a>,
}

async fn subject(
    state: &State,
    visitor: &Visitor,
    (name, hint): (String, &'static str),
    (path, first): (&str, bool),
    posts: Page<PostView>,
) -> Result<HttpResponse, Problem> {
    let now = state.ctx.clock.now();
    let feed = Feed::new(&posts, visitor.id(), now, &format!("{path}?"));
    if visitor.partial && !first {
        return layout::html(StatusCode::OK, visitor, &FeedPage { feed });
    }
    let page = SubjectPage {
        shell: layout::shell(state, visitor, name.as_str(), Place::Explore).await?,
        name,
        hint,
        first,
        feed,
    };
    layout::html(StatusCode::OK, visitor, &page)
}

/// `GET /tags/{tag}`.
pub async fn tag(
    state: Data<State>,
    visitor: Visitor,
    tag: Path<String>,
    query: Query<Walk>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let tag = Tag::parse(&tag)?;
    let posts = trends::tagged(&state.ctx, visitor.id(), &tag, before, limit).await?;
    let path = format!("/tags/{}", encoded(tag.as_str()));
    let title = format!("#{}", tag.as_str());
    let hint = "Posts with this tag, the newest first.";
    subject(
        &state,
        &visitor,
        (title, hint),
        (&path, before.is_none()),
        posts,
    )
    .await
}

/// `GET /topics/{topic}`.
pub async fn topic(
    state: Data<State>,
    visitor: Visitor,
    topic: Path<String>,
    query: Query<Walk>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let topic = Topic::parse(&topic)?;
    let posts = trends::about(&state.ctx, visitor.id(), &topic, before, limit).await?;
    let path = format!("/topics/{}", encoded(topic.as_str()));
    let title = super::layout::upper(topic.as_str());
    let hint = "Posts that the language model found to be about this, the newest first.";
    subject(
        &state,
        &visitor,
        (title, hint),
        (&path, before.is_none()),
        posts,
    )
    .await
}
