//! `/api/user/{id}/follow`, `block`, `mute`, and the lists of people that come of it.

use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Path, Query},
};
use domain::{ids::UserId, relations};

use super::profiles::{PersonDto, RelationDto, answer};
use crate::{
    extract::{CurrentUser, MaybeUser, PageQuery},
    openapi::{Blocking, Common, FollowsMany, LoginNeeded, NoSuch, Oneself, Refused},
    problem::Problem,
    routes::State,
};

/// Follow somebody: their posts are in one's home timeline from now on.
///
/// At most 10,000 people. Doing it again changes nothing.
#[utoipa::path(
    tag = "people", params(("id" = i64, Path, description = "The account")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "What the two are to each other now", body = RelationDto),
        LoginNeeded, NoSuch, Oneself, Blocking, FollowsMany, Common,
    )
)]
#[post("/api/user/{id}/follow")]
pub async fn follow(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let relation = relations::follow(&state.ctx, &session.user, UserId(*id)).await?;
    Ok(HttpResponse::Ok().json(RelationDto::from(relation)))
}

/// Follow somebody no more.
#[utoipa::path(
    tag = "people", params(("id" = i64, Path, description = "The account")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "What the two are to each other now", body = RelationDto),
        LoginNeeded, NoSuch, Oneself, Common,
    )
)]
#[delete("/api/user/{id}/follow")]
pub async fn unfollow(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let relation = relations::unfollow(&state.ctx, &session.user, UserId(*id)).await?;
    Ok(HttpResponse::Ok().json(RelationDto::from(relation)))
}

/// Block somebody: neither sees or reaches anything of the other's, and neither follows the other any more.
#[utoipa::path(
    tag = "people", params(("id" = i64, Path, description = "The account")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "What the two are to each other now", body = RelationDto),
        LoginNeeded, NoSuch, Oneself, Common,
    )
)]
#[post("/api/user/{id}/block")]
pub async fn block(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let relation = relations::block(&state.ctx, &session.user, UserId(*id)).await?;
    Ok(HttpResponse::Ok().json(RelationDto::from(relation)))
}

/// Block somebody no more. Follows that the block ended stay ended.
#[utoipa::path(
    tag = "people", params(("id" = i64, Path, description = "The account")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "What the two are to each other now", body = RelationDto),
        LoginNeeded, NoSuch, Oneself, Common,
    )
)]
#[delete("/api/user/{id}/block")]
pub async fn unblock(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let relation = relations::unblock(&state.ctx, &session.user, UserId(*id)).await?;
    Ok(HttpResponse::Ok().json(RelationDto::from(relation)))
}

/// Mute somebody: one's timelines and notifications are without them, and they do not learn of it.
#[utoipa::path(
    tag = "people", params(("id" = i64, Path, description = "The account")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "What the two are to each other now", body = RelationDto),
        LoginNeeded, NoSuch, Oneself, Common,
    )
)]
#[post("/api/user/{id}/mute")]
pub async fn mute(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let relation = relations::mute(&state.ctx, &session.user, UserId(*id)).await?;
    Ok(HttpResponse::Ok().json(RelationDto::from(relation)))
}

/// Mute somebody no more.
#[utoipa::path(
    tag = "people", params(("id" = i64, Path, description = "The account")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "What the two are to each other now", body = RelationDto),
        LoginNeeded, NoSuch, Oneself, Common,
    )
)]
#[delete("/api/user/{id}/mute")]
pub async fn unmute(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let relation = relations::unmute(&state.ctx, &session.user, UserId(*id)).await?;
    Ok(HttpResponse::Ok().json(RelationDto::from(relation)))
}

/// Who follows somebody. People with a block between them and the caller are left out.
#[utoipa::path(
    tag = "people", params(("id" = i64, Path, description = "The account"), PageQuery),
    security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "People, the newest accounts first", body = Vec<PersonDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, NoSuch, Common,
    )
)]
#[get("/api/user/{id}/followers")]
pub async fn followers(
    state: Data<State>,
    MaybeUser(session): MaybeUser,
    id: Path<i64>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let viewer = session.map(|session| session.user.id);
    let page = relations::followers(&state.ctx, viewer, UserId(*id), before, limit).await?;
    Ok(answer(&format!("/api/user/{id}/followers"), limit, page))
}

/// Whom somebody follows. People with a block between them and the caller are left out.
#[utoipa::path(
    tag = "people", params(("id" = i64, Path, description = "The account"), PageQuery),
    security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "People, the newest accounts first", body = Vec<PersonDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, NoSuch, Common,
    )
)]
#[get("/api/user/{id}/followed")]
pub async fn followed(
    state: Data<State>,
    MaybeUser(session): MaybeUser,
    id: Path<i64>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let viewer = session.map(|session| session.user.id);
    let page = relations::followed(&state.ctx, viewer, UserId(*id), before, limit).await?;
    Ok(answer(&format!("/api/user/{id}/followed"), limit, page))
}

/// Whom one blocks.
#[utoipa::path(
    tag = "people", params(PageQuery), security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "People, the newest accounts first", body = Vec<PersonDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, LoginNeeded, Common,
    )
)]
#[get("/api/blocks")]
pub async fn blocks(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let page = relations::blocked(&state.ctx, &session.user, before, limit).await?;
    Ok(answer("/api/blocks", limit, page))
}

/// Whom one mutes.
#[utoipa::path(
    tag = "people", params(PageQuery), security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "People, the newest accounts first", body = Vec<PersonDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, LoginNeeded, Common,
    )
)]
#[get("/api/mutes")]
pub async fn mutes(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let page = relations::muted(&state.ctx, &session.user, before, limit).await?;
    Ok(answer("/api/mutes", limit, page))
}
