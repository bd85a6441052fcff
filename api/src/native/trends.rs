//! `/api/trends`, and the posts behind a trend: `/api/tags/{tag}/posts`, `/api/topics/{topic}/posts`.

use actix_web::{
    HttpResponse, get,
    web::{Data, Path, Query},
};
use chrono::{DateTime, Utc};
use domain::trends::{self, Tag, Topic, Trend, Trends};
use reqwest::Url;
use serde::Serialize;
use utoipa::ToSchema;

use super::post_dto::{PostDto, answer};
use crate::{
    extract::{MaybeUser, PageQuery},
    openapi::{Common, Refused},
    problem::Problem,
    routes::State,
};

/// Something that several people write about.
#[derive(Serialize, ToSchema)]
pub struct TrendDto {
    /// The tag without `#`, or the topic.
    #[schema(example = "swallows")]
    name: String,
    /// How many posts have it.
    posts: i32,
    /// By how many people.
    people: i32,
}

impl From<Trend> for TrendDto {
    fn from(trend: Trend) -> Self {
        Self {
            name: trend.name,
            posts: trend.posts,
            people: trend.people,
        }
    }
}

/// What the last hours are about, the strongest first.
#[derive(Serialize, ToSchema)]
pub struct TrendsDto {
    /// When this was computed; null when it never was.
    computed_at: Option<DateTime<Utc>>,
    /// At most 30, by the tags of the posts.
    tags: Vec<TrendDto>,
    /// At most 30, by the topics that the language model found.
    topics: Vec<TrendDto>,
}

impl From<Trends> for TrendsDto {
    fn from(trends: Trends) -> Self {
        Self {
            computed_at: trends.computed_at,
            tags: trends.tags.into_iter().map(TrendDto::from).collect(),
            topics: trends.topics.into_iter().map(TrendDto::from).collect(),
        }
    }
}

/// What the last 24 hours are about.
///
/// Ranked by how many people wrote about it, of whom each counts half as much for each six hours since. Computed about
/// every minute.
#[utoipa::path(
    tag = "trends",
    responses((status = 200, description = "The trends", body = TrendsDto), Common)
)]
#[get("/api/trends")]
pub async fn list(state: Data<State>) -> Result<HttpResponse, Problem> {
    let trends = trends::current(&state.ctx).await?;
    Ok(HttpResponse::Ok().json(TrendsDto::from(trends)))
}

/// `/api/{kind}/{name}/posts`, whatever is in the name.
fn path(kind: &str, name: &str) -> String {
    let mut address = match Url::parse("http://here") {
        Ok(address) => address,
        Err(_) => return String::new(),
    };
    if let Ok(mut segments) = address.path_segments_mut() {
        segments.extend(["api", kind, name, "posts"]);
    }
    address.path().to_owned()
}

/// Posts with a tag, newest first.
#[utoipa::path(
    tag = "trends", params(("tag" = String, Path, description = "The tag, without `#`, whatever its case"), PageQuery),
    security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Posts, newest first", body = Vec<PostDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, Common,
    )
)]
#[get("/api/tags/{tag}/posts")]
pub async fn tagged(
    state: Data<State>,
    viewer: MaybeUser,
    tag: Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let tag = Tag::parse(&tag)?;
    let page = trends::tagged(&state.ctx, viewer.id(), &tag, before, limit).await?;
    Ok(answer(&path("tags", tag.as_str()), limit, page))
}

/// Posts that the language model found to be about a topic, newest first.
#[utoipa::path(
    tag = "trends", params(("topic" = String, Path, description = "The topic, whatever its case"), PageQuery),
    security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Posts, newest first", body = Vec<PostDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, Common,
    )
)]
#[get("/api/topics/{topic}/posts")]
pub async fn about(
    state: Data<State>,
    viewer: MaybeUser,
    topic: Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let topic = Topic::parse(&topic)?;
    let page = trends::about(&state.ctx, viewer.id(), &topic, before, limit).await?;
    Ok(answer(&path("topics", topic.as_str()), limit, page))
}
