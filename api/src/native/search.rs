//! `/api/search/*`: posts by their words, people by their names.

use actix_web::{
    HttpResponse, HttpResponseBuilder, get,
    http::header,
    web::{Data, Query},
};
use domain::{
    page::Limit,
    search::{self, PersonCursor, PostCursor},
};
use reqwest::Url;

use super::{post_dto::PostDto, profiles::PersonDto};
use crate::{
    extract::{MaybeUser, SearchQuery},
    openapi::{Common, Refused},
    problem::Problem,
    routes::State,
};

/// Adds `Link: <…>; rel="next"` when there is a next page of a search.
fn link(
    response: &mut HttpResponseBuilder,
    path: &str,
    query: &search::Query,
    limit: Limit,
    next: Option<String>,
) {
    let Some(after) = next else { return };
    let limit = limit.get().to_string();
    let parameters = [
        ("q", query.as_str()),
        ("limit", limit.as_str()),
        ("after", after.as_str()),
    ];
    // Only a whole address can be put together; what is kept of it is behind the host.
    if let Ok(address) = Url::parse_with_params(&format!("http://here{path}"), parameters) {
        let parameters = address.query().unwrap_or_default();
        response.insert_header((header::LINK, format!("<{path}?{parameters}>; rel=\"next\"")));
    }
}

/// Posts by their words, best first.
///
/// `q` is written as in web searches: words, `"a phrase"`, `or`, `-without`. A lone `#tag` finds the posts with that
/// tag, newest first. Newer posts rank a little higher, and only the newest 1,000 posts that fit are ranked and shown.
#[utoipa::path(
    tag = "search", params(SearchQuery), security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Posts, best first", body = Vec<PostDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, Common,
    )
)]
#[get("/api/search/posts")]
pub async fn posts(
    state: Data<State>,
    viewer: MaybeUser,
    query: Query<SearchQuery>,
) -> Result<HttpResponse, Problem> {
    let (query, limit, after) = query.parse(PostCursor::parse)?;
    let found = search::posts(&state.ctx, viewer.id(), &query, after, limit).await?;
    let mut response = HttpResponse::Ok();
    let next = found.next.map(|cursor| cursor.to_string());
    link(&mut response, "/api/search/posts", &query, limit, next);
    let posts: Vec<PostDto<'_>> = found.items.iter().map(PostDto::from).collect();
    Ok(response.json(posts))
}

/// People by their names and what they say of themselves.
///
/// First those whose username begins with `q`, by name; then those with its words in username, display name or bio,
/// best first. A `q` that begins with `@` is the beginning of a username and nothing else.
#[utoipa::path(
    tag = "search", params(SearchQuery), security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "People, best first", body = Vec<PersonDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, Common,
    )
)]
#[get("/api/search/people")]
pub async fn people(
    state: Data<State>,
    viewer: MaybeUser,
    query: Query<SearchQuery>,
) -> Result<HttpResponse, Problem> {
    let (query, limit, after) = query.parse(PersonCursor::parse)?;
    let found = search::people(&state.ctx, viewer.id(), &query, after, limit).await?;
    let mut response = HttpResponse::Ok();
    let next = found.next.map(|cursor| cursor.to_string());
    link(&mut response, "/api/search/people", &query, limit, next);
    let people: Vec<PersonDto> = found.items.into_iter().map(PersonDto::from).collect();
    Ok(response.json(people))
}
