//! `/api/insights`: one's own figures.

use actix_web::{HttpResponse, get, web::Data};
use chrono::{DateTime, NaiveDate, Utc};
use domain::insights::{self, Day, Insights, TopicCount, Totals};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    extract::CurrentUser,
    openapi::{Common, LoginNeeded},
    problem::Problem,
    routes::State,
};

/// One day, in UTC. Reposts are not counted, nor what was deleted.
#[derive(Serialize, ToSchema)]
pub struct DayDto {
    date: NaiveDate,
    /// How many posts were written.
    posts: i64,
    /// The mean of their scores, −1 to 1; null when none has a verdict.
    polarity_mean: Option<f64>,
    /// How many speak well of their subject.
    positive: i64,
    /// How many do neither.
    neutral: i64,
    /// How many speak ill of it.
    negative: i64,
}

impl From<Day> for DayDto {
    fn from(day: Day) -> Self {
        Self {
            date: day.date,
            posts: day.posts,
            polarity_mean: day.polarity_mean,
            positive: day.positive,
            neutral: day.neutral,
            negative: day.negative,
        }
    }
}

/// How many posts are about a topic.
#[derive(Serialize, ToSchema)]
pub struct TopicCountDto {
    #[schema(example = "food")]
    name: String,
    posts: i64,
}

impl From<TopicCount> for TopicCountDto {
    fn from(topic: TopicCount) -> Self {
        Self {
            name: topic.name,
            posts: topic.posts,
        }
    }
}

/// Sums over all time, of what still stands.
#[derive(Serialize, ToSchema)]
pub struct TotalsDto {
    /// Posts written, without reposts.
    posts: i64,
    /// Likes of them.
    likes_received: i64,
    /// Reposts of them.
    reposts_received: i64,
    /// Answers to them.
    replies_received: i64,
    /// Who follows.
    followers: i64,
}

impl From<Totals> for TotalsDto {
    fn from(totals: Totals) -> Self {
        Self {
            posts: totals.posts,
            likes_received: totals.likes_received,
            reposts_received: totals.reposts_received,
            replies_received: totals.replies_received,
            followers: totals.followers,
        }
    }
}

/// One's own figures.
#[derive(Serialize, ToSchema)]
pub struct InsightsDto {
    /// When they were computed.
    computed_at: DateTime<Utc>,
    /// The last 30 days, oldest first, today last.
    days: Vec<DayDto>,
    /// What the posts of these days are about: at most 10, the most frequent first.
    topics: Vec<TopicCountDto>,
    totals: TotalsDto,
}

impl From<Insights> for InsightsDto {
    fn from(insights: Insights) -> Self {
        Self {
            computed_at: insights.computed_at,
            days: insights.days.into_iter().map(DayDto::from).collect(),
            topics: insights
                .topics
                .into_iter()
                .map(TopicCountDto::from)
                .collect(),
            totals: insights.totals.into(),
        }
    }
}

/// One's own figures: how much one wrote, in what mood, about what, and what came back.
///
/// Computed by the workers some time after one has written, at most every ten minutes, and at least once a day.
#[utoipa::path(
    tag = "insights", security(("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The figures", body = InsightsDto), LoginNeeded, Common)
)]
#[get("/api/insights")]
pub async fn read(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
) -> Result<HttpResponse, Problem> {
    let insights = insights::get(&state.ctx, &session.user).await?;
    Ok(HttpResponse::Ok().json(InsightsDto::from(insights)))
}
