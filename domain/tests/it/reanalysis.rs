//! Which posts are marked to be judged again.

use domain::{
    Ctx,
    analysis::{self, Condition, Finished, Reanalysis},
    testing::{self, posts as given},
};

use crate::{
    analysis::{claims, verdict},
    stale::{judged, many_judged, mark, mark_all, stale},
};

#[tokio::test]
async fn conditions_choose_by_model_prompts_time_and_safety() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    for (model, prompt_version, safety, finished_at) in [
        ("small", Some("1"), "ok", "2026-01-01T00:00:00Z"),
        ("small", Some("2"), "dangerous", "2026-02-01T00:00:00Z"),
        ("large", Some("2"), "ok", "2026-03-01T00:00:00Z"),
        ("large", None, "ok", "2026-04-01T00:00:00Z"),
    ] {
        given::backlog(&ctx, &author, 1).await;
        sqlx::query(
            "UPDATE post_analysis SET status = 'done', polarity = 'neutral', score = 0, confidence = 1,
                 explanation = '', model = $1, prompt_version = $2, safety = $3, finished_at = $4::timestamptz
             WHERE status = 'pending'",
        )
        .bind(model)
        .bind(prompt_version)
        .bind(safety)
        .bind(finished_at)
        .execute(&ctx.db)
        .await
        .unwrap();
    }
    // Neither those that wait for their first verdict nor the dead.
    given::backlog(&ctx, &author, 2).await;
    sqlx::query("UPDATE post_analysis SET status = 'dead', model = 'small' WHERE post_id = 6")
        .execute(&ctx.db)
        .await
        .unwrap();
    let none: &[i64] = &[];
    for (conditions, matching) in [
        (&["all"][..], &[1, 2, 3, 4][..]),
        (&["model=small"], &[1, 2]),
        (&["model!=small"], &[3, 4]),
        (&["model!=small", "model!=large"], none),
        (&["model=small", "model=large"], none),
        (&["model=sm%"], none),
        (&["model=' OR true --"], none),
        (&["prompt_version=2"], &[2, 3]),
        (&["prompt_version!=2"], &[1, 4]),
        (&["prompt_version!=1", "prompt_version!=2"], &[4]),
        (&["before=2026-02-01T00:00:00Z"], &[1]),
        (&["before=2026-02-01T00:00:01Z"], &[1, 2]),
        (&["before=2026-02-01T02:00:00+01:00"], &[1, 2]),
        (&["safety=dangerous"], &[2]),
        (&["safety=ok"], &[1, 3, 4]),
        (&["safety=ok", "safety=dangerous"], none),
        (
            &["all", "safety=ok", "model=large", "prompt_version=2"],
            &[3],
        ),
    ] {
        let dry = mark(&ctx, conditions, 0).await;
        assert_eq!(dry.matched, matching.len() as u64, "{conditions:?}");
        assert_eq!(stale(&ctx).await, none, "nothing is marked at a limit of 0");
        assert_eq!(
            mark(&ctx, conditions, u64::MAX).await.marked,
            dry.matched,
            "{conditions:?}"
        );
        assert_eq!(stale(&ctx).await, matching, "{conditions:?}");
        sqlx::query("UPDATE post_analysis SET stale_since = NULL")
            .execute(&ctx.db)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_limit_takes_the_newest_and_every_post_is_looked_at() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    assert_eq!(mark(&ctx, &["all"], 1).await, Reanalysis::default());
    many_judged(&ctx, &author, 4_100).await;
    let some = mark(&ctx, &["all"], 2_050).await;
    assert_eq!(some.marked, 2_050);
    assert_eq!((some.matched, some.seen, some.of), (4_100, 4_100, 4_100));
    assert_eq!(stale(&ctx).await, (2_051..=4_100).collect::<Vec<i64>>());

    let conditions = [Condition::All];
    let mut steps = Vec::new();
    let rest = analysis::reanalyze(&ctx.db, &conditions, u64::MAX, |now| steps.push(*now)).await;
    let rest = rest.unwrap();
    assert_eq!(
        (rest.matched, rest.waiting, rest.marked),
        (4_100, 2_050, 2_050)
    );
    assert_eq!(steps.last(), Some(&rest));
    assert!(steps.len() > 1 && steps.is_sorted_by_key(|step| step.seen));
    assert_eq!(stale(&ctx).await.len(), 4_100);
}

#[tokio::test]
async fn marking_twice_is_marking_once_and_does_not_disturb_who_is_at_it() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let (_, job) = judged(&ctx, &author, "first").await;
    assert_eq!(mark_all(&ctx).await, 1);
    assert!(claims(&ctx, &job, "a").await);
    let again = mark(&ctx, &["all"], u64::MAX).await;
    assert_eq!((again.matched, again.waiting, again.marked), (1, 1, 0));
    assert!(!claims(&ctx, &job, "b").await, "it is still a's");
    let finished = analysis::finish(&ctx, &job, "a", &verdict("second")).await;
    assert_eq!(finished.unwrap(), Some(Finished::Again));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_mark_each_post_once() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    many_judged(&ctx, &author, 5_000).await;
    let run = |ctx: Ctx| tokio::spawn(async move { mark(&ctx, &["all"], u64::MAX).await });
    let (one, other) = tokio::join!(run(ctx.clone()), run(ctx.clone()));
    let (one, other) = (one.unwrap(), other.unwrap());
    let missed = mark(&ctx, &["all"], u64::MAX).await.marked;
    assert_eq!(one.marked + other.marked + missed, 5_000);
    assert_eq!(stale(&ctx).await.len(), 5_000);
}

#[tokio::test]
async fn a_post_deleted_in_the_same_moment_keeps_no_mark() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    many_judged(&ctx, &author, 2).await;
    let mut deleting = ctx.db.begin().await.unwrap();
    sqlx::query("UPDATE posts SET deleted_at = now() WHERE id = 2")
        .execute(&mut *deleting)
        .await
        .unwrap();
    // It does not wait for the other, and leaves alone what the other holds.
    let done = mark(&ctx, &["all"], u64::MAX).await;
    assert_eq!((done.matched, done.marked), (2, 1));
    deleting.commit().await.unwrap();
    assert_eq!(stale(&ctx).await, [1]);
}
