//! The figures, as they are stored and as they are shown.

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::DAYS;

/// One day, in UTC. Reposts are not counted, nor what was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// Which.
    pub date: NaiveDate,
    /// How many posts were written.
    pub posts: i64,
    /// The mean of their scores, −1 … 1; `None` when none has a verdict.
    pub polarity_mean: Option<f64>,
    /// How many speak well of their subject.
    pub positive: i64,
    /// How many do neither.
    pub neutral: i64,
    /// How many speak ill of it.
    pub negative: i64,
}

impl Day {
    /// A day without posts.
    fn without(date: NaiveDate) -> Self {
        Self {
            date,
            posts: 0,
            polarity_mean: None,
            positive: 0,
            neutral: 0,
            negative: 0,
        }
    }
}

/// How many posts of these days are about a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicCount {
    /// Which.
    pub name: String,
    /// How many.
    pub posts: i64,
}

/// What there ever was, as far as it still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Posts written, without reposts.
    pub posts: i64,
    /// Likes of them.
    pub likes_received: i64,
    /// Reposts of them.
    pub reposts_received: i64,
    /// Answers to them.
    pub replies_received: i64,
    /// Who follows.
    pub followers: i64,
}

/// As stored: days without posts are left out, in no order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Figures {
    days: Vec<Day>,
    topics: Vec<TopicCount>,
    totals: Totals,
}

impl Figures {
    /// As shown on this day.
    pub(super) fn shown(self, computed_at: DateTime<Utc>, today: NaiveDate) -> Insights {
        let mut by_date: HashMap<NaiveDate, Day> =
            self.days.into_iter().map(|day| (day.date, day)).collect();
        let dates = (0..DAYS)
            .rev()
            .filter_map(|ago| today.checked_sub_days(Days::new(ago.into())));
        Insights {
            computed_at,
            days: dates
                .map(|date| by_date.remove(&date).unwrap_or_else(|| Day::without(date)))
                .collect(),
            topics: self.topics,
            totals: self.totals,
        }
    }
}

/// A person's own figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Insights {
    /// When they were computed.
    pub computed_at: DateTime<Utc>,
    /// The last [`DAYS`] days, oldest first, today last.
    pub days: Vec<Day>,
    /// What the posts of these days are about, the most frequent first.
    pub topics: Vec<TopicCount>,
    /// Sums over all time.
    pub totals: Totals,
}
