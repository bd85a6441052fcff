//! Posts that have a verdict and are judged again: when, and what is seen of them meanwhile.

use std::time::Duration;

use domain::{
    Ctx,
    analysis::{
        self, Condition, Failure, Fate, Finished, MAX_ATTEMPTS, Reanalysis, STALE_HINTS, Safety,
        Status, Verdict,
    },
    jobs::{AnalyzePost, MAX_HINTS},
    posts::{self, PostView},
    testing::{self, posts as given},
    users::User,
};

use crate::{
    analysis::{claims, hint, verdict},
    jobs::hints,
};

const LEASE: Duration = Duration::from_secs(10);

/// A post with a verdict, and the hint for it.
pub async fn judged(ctx: &Ctx, author: &User, explanation: &str) -> (PostView, AnalyzePost) {
    let post = given::write(ctx, author, "a fine day").await;
    let job = hint(&post, 1);
    assert!(claims(ctx, &job, "first").await);
    let finished = analysis::finish(ctx, &job, "first", &verdict(explanation)).await;
    assert!(matches!(finished.unwrap(), Some(Finished::First(_))));
    (post, job)
}

/// So many posts with a verdict, without the time it takes to give them one by one.
pub async fn many_judged(ctx: &Ctx, author: &User, count: i32) {
    given::backlog(ctx, author, count).await;
    sqlx::query(
        "UPDATE post_analysis SET status = 'done', polarity = 'neutral', score = 0, confidence = 1, safety = 'ok',
             explanation = '', model = 'old', prompt_version = '1', finished_at = now()
         WHERE status = 'pending'",
    )
    .execute(&ctx.db)
    .await
    .unwrap();
}

pub async fn mark(ctx: &Ctx, conditions: &[&str], limit: u64) -> Reanalysis {
    let conditions: Vec<Condition> = conditions
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let done = analysis::reanalyze(&ctx.db, &conditions, limit, |_| {}).await;
    done.unwrap()
}

pub async fn mark_all(ctx: &Ctx) -> u64 {
    mark(ctx, &["all"], u64::MAX).await.marked
}

/// The numbers of the posts that wait to be judged again.
pub async fn stale(ctx: &Ctx) -> Vec<i64> {
    sqlx::query_scalar(
        "SELECT post_id FROM post_analysis WHERE stale_since IS NOT NULL ORDER BY post_id",
    )
    .fetch_all(&ctx.db)
    .await
    .unwrap()
}

/// What readers see: status and explanation.
async fn seen(ctx: &Ctx, post: &PostView) -> (Status, Option<String>) {
    let view = posts::get(ctx, None, post.id)
        .await
        .unwrap()
        .analysis
        .unwrap();
    (view.status, view.explanation)
}

fn done(explanation: &str) -> (Status, Option<String>) {
    (Status::Done, Some(explanation.into()))
}

/// Takes every hint that waits, as workers do.
async fn take_hints(ctx: &Ctx) {
    let mut redis = ctx.redis.patient_connection().await.unwrap();
    deadpool_redis::redis::cmd("DEL")
        .arg(ctx.jobs.config().scheduled_jobs_set())
        .arg(ctx.jobs.config().active_jobs_list())
        .exec_async(&mut redis)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_first_verdict_is_seen_until_the_second_replaces_it() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let (post, job) = judged(&ctx, &author, "first").await;
    take_hints(&ctx).await;
    assert_eq!(mark_all(&ctx).await, 1);
    assert_eq!(seen(&ctx, &post).await, done("first"));

    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 1);
    assert_eq!(hints(&ctx).await, [post.id.0]);
    let claim = analysis::claim(&ctx, &job, "a", LEASE).await.unwrap();
    assert_eq!(claim.unwrap().content, "a fine day");
    assert!(!claims(&ctx, &job, "b").await, "one at a time here too");
    assert!(analysis::renew(&ctx, &job, "a", LEASE).await.unwrap());
    assert_eq!(seen(&ctx, &post).await, done("first"));

    let second = Verdict {
        safety: Safety::Dangerous,
        model: "another".into(),
        ..verdict("second")
    };
    let finished = analysis::finish(&ctx, &job, "a", &second).await.unwrap();
    assert_eq!(finished, Some(Finished::Again));
    let view = posts::get(&ctx, None, post.id)
        .await
        .unwrap()
        .analysis
        .unwrap();
    assert_eq!(view.safety, Some(Safety::Dangerous));
    assert_eq!(view.model.as_deref(), Some("another"));
    assert_eq!(seen(&ctx, &post).await, done("second"));
    assert_eq!(stale(&ctx).await, [0; 0]);
    assert!(
        !claims(&ctx, &job, "a").await,
        "there is nothing left to do"
    );
    let late = analysis::finish(&ctx, &job, "a", &verdict("third")).await;
    assert_eq!(late.unwrap(), None);
}

#[tokio::test]
async fn new_posts_come_first_and_only_a_few_stale_ones_wait_before_them() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    many_judged(&ctx, &author, 20).await;
    assert_eq!(mark_all(&ctx).await, 20);
    given::backlog(&ctx, &author, STALE_HINTS as i32 - 1).await;
    let fresh: Vec<i64> = (21..20 + STALE_HINTS as i64).collect();

    let first = analysis::offer_due(&ctx).await.unwrap();
    assert_eq!(first.count, fresh.len(), "none of the stale ones");
    let mut offered = hints(&ctx).await;
    offered.sort_unstable();
    assert_eq!(offered, fresh);
    // No other is due; the queue has one place left for them.
    let next = analysis::offer_due(&ctx).await.unwrap();
    assert_eq!((next.count, next.more), (1, true));
    let next = analysis::offer_due(&ctx).await.unwrap();
    assert_eq!((next.count, next.more), (0, true), "there is no more room");
    assert_eq!(ctx.jobs.room().await.unwrap(), MAX_HINTS - STALE_HINTS);

    // With a post that is due they wait even when the queue is empty.
    take_hints(&ctx).await;
    given::backlog(&ctx, &author, 1).await;
    sqlx::query(
        "UPDATE post_analysis SET status = 'dead' WHERE status = 'pending' AND post_id = ANY($1)",
    )
    .bind(&fresh)
    .execute(&ctx.db)
    .await
    .unwrap();
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 1);
    assert_eq!(hints(&ctx).await, [20 + STALE_HINTS as i64]);

    let mut seen = 0;
    while seen < 20 {
        take_hints(&ctx).await;
        let offered = analysis::offer_due(&ctx).await.unwrap().count;
        assert!((1..=STALE_HINTS).contains(&offered), "{offered}");
        seen += offered;
    }
    take_hints(&ctx).await;
    let none = analysis::offer_due(&ctx).await.unwrap();
    assert_eq!((none.count, none.more), (0, false), "not twice at once");
    given::make_due(&ctx).await;
    let lost = analysis::offer_due(&ctx).await.unwrap();
    assert_eq!(lost.count, 1, "the new one, whose hint was lost");
    take_hints(&ctx).await;
    let lost = analysis::offer_due(&ctx).await.unwrap();
    assert_eq!(lost.count, STALE_HINTS, "and then theirs");
}

#[tokio::test]
async fn a_changed_text_is_judged_as_a_new_one() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let (post, job) = judged(&ctx, &author, "first").await;
    mark_all(&ctx).await;
    assert!(claims(&ctx, &job, "a").await);
    given::edit(&ctx, &author, post.id, "an awful day").await;
    assert_eq!(seen(&ctx, &post).await, (Status::Pending, None));
    assert_eq!(stale(&ctx).await, [0; 0]);
    assert!(!analysis::renew(&ctx, &job, "a", LEASE).await.unwrap());
    let late = analysis::finish(&ctx, &job, "a", &verdict("late")).await;
    assert_eq!(late.unwrap(), None);
    assert_eq!(analysis::fail(&ctx, &job, "a", "late").await.unwrap(), None);

    let new = hint(&post, 2);
    assert!(claims(&ctx, &new, "a").await);
    let finished = analysis::finish(&ctx, &new, "a", &verdict("new")).await;
    assert!(matches!(finished.unwrap(), Some(Finished::First(_))));
}

#[tokio::test]
async fn a_deleted_post_is_not_judged_again() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let (waiting, _) = judged(&ctx, &author, "first").await;
    let (held, job) = judged(&ctx, &author, "first").await;
    let (gone, _) = judged(&ctx, &author, "first").await;
    posts::delete(&ctx, &author, gone.id).await.unwrap();
    take_hints(&ctx).await;
    assert_eq!(mark_all(&ctx).await, 2);
    assert!(claims(&ctx, &job, "a").await);
    for post in [&waiting, &held] {
        posts::delete(&ctx, &author, post.id).await.unwrap();
    }
    assert!(!analysis::renew(&ctx, &job, "a", LEASE).await.unwrap());
    let late = analysis::finish(&ctx, &job, "a", &verdict("late")).await;
    assert_eq!(late.unwrap(), None);
    assert_eq!(stale(&ctx).await, [0; 0]);
    given::make_due(&ctx).await;
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 0);
    assert_eq!(mark(&ctx, &["all"], u64::MAX).await.matched, 0);
}

#[tokio::test]
async fn what_fails_again_and_again_keeps_its_first_verdict() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let (post, job) = judged(&ctx, &author, "first").await;
    take_hints(&ctx).await;
    mark_all(&ctx).await;
    for attempts in 1..=MAX_ATTEMPTS {
        assert!(claims(&ctx, &job, "a").await, "attempt {attempts}");
        let failed = analysis::fail(&ctx, &job, "a", "it is too much").await;
        let fate = if attempts < MAX_ATTEMPTS {
            Fate::Waits
        } else {
            Fate::Keeps
        };
        assert_eq!(failed.unwrap(), Some(Failure { fate, attempts }));
        assert!(
            !claims(&ctx, &job, "a").await,
            "not before its wait is over"
        );
        assert_eq!(seen(&ctx, &post).await, done("first"));
        given::make_due(&ctx).await;
    }
    assert_eq!(stale(&ctx).await, [0; 0]);
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 0);
    let late = analysis::finish(&ctx, &job, "a", &verdict("late")).await;
    assert_eq!(late.unwrap(), None);
    assert_eq!(given::count(&ctx, Status::Dead).await, 0);
    // The next try begins anew.
    assert_eq!(mark_all(&ctx).await, 1);
    assert!(claims(&ctx, &job, "a").await);
    let failed = analysis::fail(&ctx, &job, "a", "it is too much").await;
    let fate = Fate::Waits;
    assert_eq!(failed.unwrap(), Some(Failure { fate, attempts: 1 }));
}

#[tokio::test]
async fn a_stale_post_is_given_back_and_survives_its_worker_like_any_other() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let (post, job) = judged(&ctx, &author, "first").await;
    take_hints(&ctx).await;
    mark_all(&ctx).await;
    assert!(claims(&ctx, &job, "a").await);
    analysis::release(&ctx, &job, "a", "it is away", Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 1);
    assert!(claims(&ctx, &job, "a").await);
    take_hints(&ctx).await;
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 0);
    // Its worker dies, the lease ends, and somebody else takes it.
    given::make_due(&ctx).await;
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 1);
    assert!(claims(&ctx, &job, "b").await);
    // What the first one says, had it only been slow, may be the model's that is to be replaced.
    let slow = analysis::finish(&ctx, &job, "a", &verdict("slow")).await;
    assert_eq!(slow.unwrap(), None);
    assert_eq!(seen(&ctx, &post).await, done("first"));
    let finished = analysis::finish(&ctx, &job, "b", &verdict("second")).await;
    assert_eq!(finished.unwrap(), Some(Finished::Again));
}
