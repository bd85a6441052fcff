//! Seeded posts and all that hangs on them: verdicts, topics, tags, likes, counts. Answers and likes stay within the step
//! that writes them, so that every step leaves counts and rows in agreement, wherever the run ends.

use std::fmt::Write as _;

use anyhow::bail;
use chrono::{DateTime, Duration, Utc};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::{Connection as _, PgConnection};

use super::{
    LARGE, STEP, copy, indexes, next_id, people, used,
    words::{Vocabulary, often, skewed},
};
use crate::progress::Progress;

/// Topics as the service's own model names them; frequent ones first.
const TOPICS: [&str; 10] = [
    "daily life",
    "work",
    "music",
    "food",
    "sports",
    "family",
    "technology",
    "travel",
    "nature",
    "art",
];
/// How far apart two posts are, if there is time enough: 10⁷ of them make most of a year.
const APART: i64 = 3_000;
const YEAR: Duration = Duration::days(365);
/// How far back an answer looks.
const REACH: usize = 200;

/// Adds posts until there are so many, deleted ones and reposts included.
pub(super) async fn fill(
    db: &mut PgConnection,
    wanted: i64,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut there: i64 = sqlx::query_scalar("SELECT count(*) FROM posts")
        .fetch_one(&mut *db)
        .await?;
    if there >= wanted {
        return Ok(());
    }
    let authors = people::known(db).await?;
    if authors.is_empty() {
        bail!("there is nobody to write posts; say --people 1 at least");
    }
    let missing = wanted - there;
    if missing >= LARGE && missing > there / 4 {
        indexes::drop(db, progress).await?;
    }
    let words = Vocabulary::default();
    let last: Option<DateTime<Utc>> =
        sqlx::query_scalar("SELECT created_at FROM posts ORDER BY id DESC LIMIT 1")
            .fetch_optional(&mut *db)
            .await?;
    let apart = Duration::milliseconds(APART.min(YEAR.num_milliseconds() / wanted));
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock of the domain is the product's; rows are dated by this machine's"
    )]
    let now = Utc::now();
    let mut time = last.unwrap_or(now - YEAR);
    progress.begin("posts", there, wanted);
    while there < wanted {
        let count = (wanted - there).min(STEP);
        let mut transaction = db.begin().await?;
        let first = next_id(&mut transaction, "posts").await?;
        let step = Step::make(&words, &authors, first, count, (time, apart, now));
        used(&mut transaction, "posts", first + count - 1).await?;
        time = step.ended;
        for (into, lines) in step.tables() {
            copy(&mut transaction, into, lines).await?;
        }
        transaction.commit().await?;
        there += count;
        progress.at(there);
    }
    Ok(())
}

/// The lines of one transaction, for each table.
struct Step {
    posts: String,
    analysis: String,
    topics: String,
    tags: String,
    likes: String,
    counts: String,
    ended: DateTime<Utc>,
}

impl Step {
    fn make(
        words: &Vocabulary,
        authors: &[i64],
        first: i64,
        count: i64,
        (mut time, apart, now): (DateTime<Utc>, Duration, DateTime<Utc>),
    ) -> Self {
        let mut random = StdRng::seed_from_u64(first.unsigned_abs());
        let count = usize::try_from(count).unwrap_or(0);
        let mut step = Self {
            posts: String::with_capacity(count * 220),
            analysis: String::with_capacity(count * 200),
            topics: String::new(),
            tags: String::new(),
            likes: String::new(),
            counts: String::new(),
            ended: time,
        };
        // Of each post of this step: likes, answers, the first post of its conversation.
        let mut likes = vec![0_usize; count];
        let mut answers = vec![0_u32; count];
        let mut threads: Vec<Option<i64>> = vec![None; count];
        for (place, id) in (first..).take(count).enumerate() {
            time = (time + apart).min(now).max(time);
            let when = time.format("%Y-%m-%d %H:%M:%S%.6f+00");
            let author = authors[skewed(&mut random, authors.len(), 3.0)];
            let (text, tag) = words.post(&mut random);
            let (mut reply_to, mut thread) = ("\\N".to_owned(), "\\N".to_owned());
            if place > 0 && random.random_ratio(3, 20) {
                let answered = place - random.random_range(1..=place.min(REACH));
                let answered_id = first + i64::try_from(answered).unwrap_or(0);
                let root = threads[answered].unwrap_or(answered_id);
                (reply_to, thread) = (answered_id.to_string(), root.to_string());
                threads[place] = Some(root);
                answers[answered] += 1;
            }
            // Writing to a String cannot fail.
            let _ = writeln!(
                step.posts,
                "{id}\t{author}\t{text}\t{when}\t{when}\t{reply_to}\t{thread}"
            );
            if let Some(tag) = tag {
                let _ = writeln!(step.tags, "{tag}\t{id}\t{when}");
            }
            let topic = random
                .random_bool(0.5)
                .then(|| TOPICS[skewed(&mut random, TOPICS.len(), 1.5)]);
            if let Some(topic) = topic {
                let _ = writeln!(step.topics, "{topic}\t{id}");
            }
            step.judge(id, &when.to_string(), topic, &text, &mut random);
            likes[place] = often(&mut random, 0.4, authors.len().min(50));
            let start = random.random_range(0..authors.len());
            for liker in 0..likes[place] {
                let liker = authors[(start + liker) % authors.len()];
                let _ = writeln!(step.likes, "{id}\t{liker}\t{when}");
            }
        }
        for (place, id) in (first..).take(count).enumerate() {
            if likes[place] > 0 || answers[place] > 0 {
                let _ = writeln!(step.counts, "{id}\t{}\t{}", likes[place], answers[place]);
            }
        }
        step.ended = time;
        step
    }

    /// The verdict, a second after the post.
    fn judge(&mut self, id: i64, when: &str, topic: Option<&str>, text: &str, random: &mut StdRng) {
        let score = random.random_range(-0.95..0.95_f64);
        let polarity = match score {
            ..-0.3 => "negative",
            0.3.. => "positive",
            _ => "neutral",
        };
        let safety = if random.random_ratio(1, 100) {
            "dangerous"
        } else {
            "ok"
        };
        let topics = topic.map_or_else(|| "{}".to_owned(), |topic| format!("{{\"{topic}\"}}"));
        let confidence = random.random_range(0.4..0.99_f64);
        let end = text[..60].rfind(' ').unwrap_or(60);
        let _ = writeln!(
            self.analysis,
            "{id}\t1\tdone\t{when}\t{when}\t{when}\t{polarity}\t{score:.4}\t{confidence:.4}\t{safety}\t{topics}\tIt says: {}\tseed\tseed\t60",
            &text[..end]
        );
    }

    /// Each table with its columns, those first that others refer to.
    fn tables(self) -> [(&'static str, String); 6] {
        [
            (
                "posts (id, user_id, content, created_at, updated_at, reply_to, thread_id)",
                self.posts,
            ),
            (
                "post_analysis (post_id, revision, status, next_enqueue_at, pending_since, finished_at, polarity, score, \
                 confidence, safety, topics, explanation, model, prompt_version, tokens)",
                self.analysis,
            ),
            ("post_topics (topic, post_id)", self.topics),
            ("post_tags (tag, post_id, created_at)", self.tags),
            ("likes (post_id, user_id, created_at)", self.likes),
            ("post_counts (post_id, likes, replies)", self.counts),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_the_same_every_time_and_never_later_than_now() {
        let words = Vocabulary::default();
        let authors: Vec<i64> = (1..=100).collect();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let make = || {
            let span = (now - Duration::seconds(100), Duration::seconds(1), now);
            Step::make(&words, &authors, 501, 1_000, span)
        };
        let (once, again) = (make(), make());
        assert_eq!(once.posts, again.posts);
        assert_eq!(once.ended, now);
        assert_eq!(once.posts.lines().count(), 1_000);
        assert_eq!(once.analysis.lines().count(), 1_000);
        assert!(once.likes.lines().count() > 200);
    }
}
