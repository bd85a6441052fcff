//! The visitor's own figures as a picture: posts per day as bars, their mean polarity as a line; drawn here, so that it
//! needs no script. The same figures stand beside it as a table.

use std::fmt::Write as _;

use domain::insights::{Day, Insights};

use super::card::number;

/// The picture's size, in units of its own.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;
/// The part of a day's width that its bar fills.
const BAR: f64 = 0.7;

/// A day's bar.
pub struct Bar {
    /// Its left edge.
    pub x: String,
    /// Its top.
    pub y: String,
    /// Its height.
    pub height: String,
}

/// A day in words.
pub struct Row {
    /// Which.
    pub date: String,
    /// How many posts.
    pub posts: i64,
    /// Their mean polarity, with its sign.
    pub mean: String,
}

/// What there is to show.
pub struct Chart {
    /// One for each day with posts.
    pub bars: Vec<Bar>,
    /// How wide they are.
    pub width: String,
    /// The line, as an SVG path.
    pub line: String,
    /// The first day and the last.
    pub from: String,
    /// See `from`.
    pub to: String,
    /// The picture in a sentence.
    pub says: String,
    /// The same as a table: days with posts, newest first.
    pub rows: Vec<Row>,
    /// What they were about.
    pub topics: Vec<(String, i64)>,
    /// Likes, reposts and answers received, ever.
    pub received: [String; 3],
}

fn date(day: &Day) -> String {
    day.date.format("%-d %b").to_string()
}

fn mean(of: f64) -> String {
    // Rounded first: −0.00 is no number that people write.
    let rounded = (of * 100.0).round() / 100.0;
    if rounded == 0.0 {
        "0".into()
    } else {
        format!("{rounded:+.2}").replace('-', "−")
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a picture's precision is a pixel"
)]
fn units(count: i64) -> f64 {
    count as f64
}

impl Chart {
    /// The picture of these figures.
    #[must_use]
    pub fn new(insights: &Insights) -> Self {
        let days = &insights.days;
        let step = WIDTH / units(i64::try_from(days.len().max(1)).unwrap_or(1));
        let most = days.iter().map(|day| day.posts).max().unwrap_or(0).max(1);
        let (mut bars, mut line, mut x, mut drawn) = (Vec::new(), String::new(), 0.0, false);
        for day in days {
            if day.posts > 0 {
                let height = HEIGHT * units(day.posts) / units(most);
                bars.push(Bar {
                    x: format!("{:.1}", x + step * (1.0 - BAR) / 2.0),
                    y: format!("{:.1}", HEIGHT - height),
                    height: format!("{height:.1}"),
                });
            }
            // Days without a verdict are passed over: the line leads on to the next one that has one.
            if let Some(mean) = day.polarity_mean {
                let y = HEIGHT * (1.0 - mean.clamp(-1.0, 1.0)) / 2.0;
                let pen = if drawn { 'L' } else { 'M' };
                drawn = true;
                // Writing to a String does not fail.
                let _done = write!(line, "{pen}{:.1} {y:.1}", x + step / 2.0);
            }
            x += step;
        }
        let posts: i64 = days.iter().map(|day| day.posts).sum();
        let busy = days.iter().filter(|day| day.posts > 0);
        let totals = insights.totals;
        Self {
            width: format!("{:.1}", step * BAR),
            bars,
            line,
            from: days.first().map(date).unwrap_or_default(),
            to: days.last().map(date).unwrap_or_default(),
            says: format!(
                "{posts} {} on {} of the last {} days, at most {most} a day",
                if posts == 1 { "post" } else { "posts" },
                busy.clone().count(),
                days.len()
            ),
            rows: busy
                .rev()
                .map(|day| Row {
                    date: date(day),
                    posts: day.posts,
                    mean: day.polarity_mean.map_or("–".into(), mean),
                })
                .collect(),
            topics: insights
                .topics
                .iter()
                .map(|topic| (topic.name.clone(), topic.posts))
                .collect(),
            received: [
                totals.likes_received,
                totals.reposts_received,
                totals.replies_received,
            ]
            .map(number),
        }
    }

    /// Whether there is nothing to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bars.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Days, NaiveDate};
    use domain::insights::Totals;

    #[test]
    fn bars_stand_on_the_ground_and_the_line_stays_within() {
        let first = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        let day = |n: u64, posts: i64, polarity_mean| Day {
            date: first.checked_add_days(Days::new(n)).unwrap(),
            posts,
            polarity_mean,
            positive: 0,
            neutral: 0,
            negative: 0,
        };
        let insights = Insights {
            computed_at: chrono::DateTime::UNIX_EPOCH,
            days: vec![
                day(0, 2, Some(1.0)),
                day(1, 0, None),
                day(2, 4, Some(-0.5)),
                day(3, 1, None),
            ],
            topics: vec![],
            totals: Totals {
                posts: 7,
                likes_received: 0,
                reposts_received: 0,
                replies_received: 0,
                followers: 0,
            },
        };
        let chart = Chart::new(&insights);
        let bars: Vec<_> = chart
            .bars
            .iter()
            .map(|bar| (&*bar.x, &*bar.y, &*bar.height))
            .collect();
        assert_eq!(
            bars,
            [
                ("22.5", "60.0", "60.0"),
                ("322.5", "0.0", "120.0"),
                ("472.5", "90.0", "30.0")
            ]
        );
        assert_eq!(chart.line, "M75.0 0.0L375.0 90.0");
        assert_eq!(
            chart.says,
            "7 posts on 3 of the last 4 days, at most 4 a day"
        );
        let rows: Vec<_> = chart
            .rows
            .iter()
            .map(|row| (&*row.date, row.posts, &*row.mean))
            .collect();
        assert_eq!(
            rows,
            [
                ("4 Mar", 1, "–"),
                ("3 Mar", 4, "−0.50"),
                ("1 Mar", 2, "+1.00")
            ]
        );
    }
}
