//! `/api/home`: what those write whom the caller follows.

use actix_web::{
    HttpResponse, get,
    web::{Data, Query},
};
use domain::timelines;

use super::post_dto::{PostDto, answer};
use crate::{
    extract::{CurrentUser, PageQuery},
    openapi::{Common, LoginNeeded, Refused},
    problem::Problem,
    routes::State,
};

/// The home timeline: posts and reposts of those whom the caller follows, and the caller's own, newest first.
///
/// Answers are in it when the caller follows the one who is answered as well. A new post is in it within a fraction of a
/// second; one's own at once. The header `Link` names the next page; a page may hold fewer posts than asked for and have
/// a next one all the same.
#[utoipa::path(
    tag = "timelines", params(PageQuery), security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Posts, newest first", body = Vec<PostDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        LoginNeeded, Refused, Common,
    )
)]
#[get("/api/home")]
pub async fn home(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let page = timelines::home(&state.ctx, &session.user, before, limit).await?;
    Ok(answer("/api/home", limit, page))
}
