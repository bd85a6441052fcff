//! `/api/user/{id}/profile`, `/api/user/by-name/{username}`, `/api/profile`: who people are.

use actix_web::{
    HttpResponse, get, put,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use domain::{
    ids::UserId,
    page::{Limit, Page},
    profiles::{self, Bio, DisplayName, Person, Profile, ProfileChange},
    relations::Relation,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{link_next, users::missing};
use crate::{
    extract::{Body, CurrentUser, MaybeUser},
    openapi::{BadBody, Common, LoginNeeded, NoSuch},
    problem::Problem,
    routes::State,
};

/// What somebody is to the caller.
#[derive(Serialize, ToSchema)]
pub struct RelationDto {
    /// The caller follows them.
    following: bool,
    /// They follow the caller.
    followed_by: bool,
    /// The caller blocks them.
    blocking: bool,
    /// The caller mutes them.
    muting: bool,
}

impl From<Relation> for RelationDto {
    fn from(relation: Relation) -> Self {
        Self {
            following: relation.following,
            followed_by: relation.followed_by,
            blocking: relation.blocking,
            muting: relation.muting,
        }
    }
}

/// Somebody in a list.
#[derive(Serialize, ToSchema)]
pub struct PersonDto {
    #[schema(value_type = i64)]
    id: UserId,
    #[schema(example = "ada")]
    username: String,
    /// What they want to be called; empty when by their username.
    #[schema(example = "Ada Lovelace")]
    display_name: String,
    /// About themselves; may be empty.
    bio: String,
    /// Null for oneself, and without a login.
    relation: Option<RelationDto>,
}

impl From<Person> for PersonDto {
    fn from(person: Person) -> Self {
        Self {
            id: person.id,
            username: person.username,
            display_name: person.display_name,
            bio: person.bio,
            relation: person.relation.map(RelationDto::from),
        }
    }
}

/// The body of a list of people with its header `Link`.
pub(super) fn answer(path: &str, limit: Limit, page: Page<Person>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    link_next(&mut response, path, limit.get(), page.next);
    let people: Vec<PersonDto> = page.items.into_iter().map(PersonDto::from).collect();
    response.json(people)
}

/// Somebody with all that their page shows of them.
#[derive(Serialize, ToSchema)]
pub struct ProfileDto {
    #[schema(value_type = i64)]
    id: UserId,
    #[schema(example = "ada")]
    username: String,
    /// What they want to be called; empty when by their username.
    #[schema(example = "Ada Lovelace")]
    display_name: String,
    /// About themselves; may be empty.
    bio: String,
    /// When they signed up.
    created_at: DateTime<Utc>,
    /// How many people follow them.
    followers: i64,
    /// How many people they follow.
    followed: i64,
    /// How many posts and reposts they have written.
    posts: i64,
    /// Null for oneself, and without a login.
    relation: Option<RelationDto>,
}

impl From<Profile> for ProfileDto {
    fn from(profile: Profile) -> Self {
        Self {
            id: profile.id,
            username: profile.username,
            display_name: profile.display_name,
            bio: profile.bio,
            created_at: profile.created_at,
            followers: profile.followers,
            followed: profile.followed,
            posts: profile.posts,
            relation: profile.relation.map(RelationDto::from),
        }
    }
}

/// Somebody's profile.
///
/// Who is blocked by them is told that there is nobody.
#[utoipa::path(
    tag = "people", params(("id" = i64, Path, description = "The account")),
    security((), ("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The profile", body = ProfileDto), NoSuch, Common)
)]
#[get("/api/user/{id}/profile")]
pub async fn read(
    state: Data<State>,
    MaybeUser(session): MaybeUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let viewer = session.map(|session| session.user.id);
    let profile = profiles::get(&state.ctx, viewer, UserId(*id)).await?;
    Ok(HttpResponse::Ok().json(ProfileDto::from(profile)))
}

/// The profile of whoever has a name, whatever its case.
///
/// Who is blocked by them is told that there is nobody.
#[utoipa::path(
    tag = "people", params(("username" = String, Path, description = "The name, without `@`")),
    security((), ("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The profile", body = ProfileDto), NoSuch, Common)
)]
#[get("/api/user/by-name/{username}")]
pub async fn by_name(
    state: Data<State>,
    MaybeUser(session): MaybeUser,
    username: Path<String>,
) -> Result<HttpResponse, Problem> {
    let viewer = session.map(|session| session.user.id);
    let profile = profiles::by_name(&state.ctx, viewer, &username).await?;
    Ok(HttpResponse::Ok().json(ProfileDto::from(profile)))
}

/// What to change of one's profile; what is not given stays.
#[derive(Deserialize, ToSchema)]
pub struct ProfileInput {
    /// At most 50 characters after trimming; no control characters and none that turn the direction of text. Empty to
    /// be called by the username.
    #[schema(example = "Ada Lovelace")]
    display_name: Option<String>,
    /// At most 300 characters after trimming; no control characters but line ends.
    #[schema(example = "Notes on engines.\nLondon")]
    bio: Option<String>,
}

impl ProfileInput {
    /// Every rule that is broken is named.
    fn parse(self) -> Result<ProfileChange, Problem> {
        if self.display_name.is_none() && self.bio.is_none() {
            return Err(missing("display_name").into());
        }
        let display_name = self.display_name.map(|raw| DisplayName::parse(&raw));
        let bio = self.bio.map(|raw| Bio::parse(&raw));
        match (display_name.transpose(), bio.transpose()) {
            (Ok(display_name), Ok(bio)) => Ok(ProfileChange { display_name, bio }),
            (display_name, bio) => {
                let violations = [display_name.err(), bio.err()];
                Err(domain::Error::Invalid(violations.into_iter().flatten().collect()).into())
            }
        }
    }
}

/// Change one's own profile. A new display name is on old posts at once.
#[utoipa::path(
    tag = "people", request_body = ProfileInput, security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The profile as it is now", body = ProfileDto),
        BadBody, LoginNeeded, NoSuch, Common,
    )
)]
#[put("/api/profile")]
pub async fn update(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    Body(input): Body<ProfileInput>,
) -> Result<HttpResponse, Problem> {
    let profile = profiles::update(&state.ctx, &session, input.parse()?).await?;
    Ok(HttpResponse::Ok().json(ProfileDto::from(profile)))
}
