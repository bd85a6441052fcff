//! The state machine that brings every post its verdict, one transition at a time.

use std::time::Duration;

use domain::{
    Ctx,
    analysis::{self, Failure, Fate, Finished, MAX_ATTEMPTS, Polarity, Safety, Status, Verdict},
    ids::PostId,
    jobs::AnalyzePost,
    posts::{self, PostView},
    testing::{self, posts as given},
};

const LEASE: Duration = Duration::from_secs(10);

pub fn verdict(explanation: &str) -> Verdict {
    Verdict {
        polarity: Polarity::Positive,
        score: 0.8,
        confidence: 0.9,
        safety: Safety::Ok,
        topics: vec![],
        explanation: explanation.into(),
        model: "test".into(),
        prompt_version: "1".into(),
        tokens: 7,
    }
}

pub fn hint(post: &PostView, revision: i32) -> AnalyzePost {
    AnalyzePost {
        post_id: post.id,
        revision,
        request_id: given::REQUEST_ID.into(),
        traceparent: None,
    }
}

/// A post that has just been written, and the hint for it.
async fn written(ctx: &Ctx) -> (PostView, AnalyzePost) {
    let author = given::author(ctx).await;
    let post = given::write(ctx, &author, "a fine day").await;
    let hint = hint(&post, 1);
    (post, hint)
}

pub async fn claims(ctx: &Ctx, job: &AnalyzePost, owner: &str) -> bool {
    analysis::claim(ctx, job, owner, LEASE)
        .await
        .unwrap()
        .is_some()
}

/// Status, attempts, and the error.
async fn state(ctx: &Ctx, id: PostId) -> (String, i32, Option<String>) {
    sqlx::query_as("SELECT status, attempts, error FROM post_analysis WHERE post_id = $1")
        .bind(id.0)
        .fetch_one(&ctx.db)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_written_post_waits_for_its_verdict_and_gets_it() {
    let ctx = testing::ctx().await;
    let (post, job) = written(&ctx).await;
    assert_eq!(state(&ctx, post.id).await, ("pending".into(), 0, None));

    let claim = analysis::claim(&ctx, &job, "a", LEASE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claim.content, "a fine day");
    let finished = analysis::finish(&ctx, &job, "a", &verdict("why not"))
        .await
        .unwrap();
    let Some(Finished::First(waited)) = finished else {
        panic!("{finished:?}");
    };
    assert!(waited < Duration::from_secs(30));

    let view = posts::get(&ctx, None, post.id)
        .await
        .unwrap()
        .analysis
        .unwrap();
    assert_eq!(view.status, Status::Done);
    assert_eq!(view.polarity, Some(Polarity::Positive));
    assert_eq!(view.explanation.as_deref(), Some("why not"));
}

#[tokio::test]
async fn the_first_verdict_wins_and_the_same_job_done_twice_changes_nothing() {
    let ctx = testing::ctx().await;
    let (post, job) = written(&ctx).await;
    assert!(claims(&ctx, &job, "a").await);
    let finish = async |why: &str| {
        analysis::finish(&ctx, &job, "a", &verdict(why))
            .await
            .unwrap()
    };
    assert!(finish("first").await.is_some());
    assert!(finish("second").await.is_none());
    assert!(
        !claims(&ctx, &job, "b").await,
        "there is nothing left to do"
    );
    let view = posts::get(&ctx, None, post.id)
        .await
        .unwrap()
        .analysis
        .unwrap();
    assert_eq!(view.explanation.as_deref(), Some("first"));
}

#[tokio::test]
async fn a_text_changed_while_it_was_judged_is_judged_anew() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let post = given::write(&ctx, &author, "a fine day").await;
    let (old, new) = (hint(&post, 1), hint(&post, 2));
    assert!(claims(&ctx, &old, "a").await);

    let edited = given::edit(&ctx, &author, post.id, "an awful day").await;
    assert_eq!(edited.analysis.unwrap().status, Status::Pending);
    assert!(!analysis::renew(&ctx, &old, "a", LEASE).await.unwrap());
    let late = analysis::finish(&ctx, &old, "a", &verdict("late"))
        .await
        .unwrap();
    assert_eq!(late, None);
    assert_eq!(analysis::fail(&ctx, &old, "a", "late").await.unwrap(), None);
    assert!(!claims(&ctx, &old, "a").await, "its text is out of date");

    let claim = analysis::claim(&ctx, &new, "a", LEASE).await.unwrap();
    assert_eq!(claim.unwrap().content, "an awful day");
    let in_time = analysis::finish(&ctx, &new, "a", &verdict("in time"))
        .await
        .unwrap();
    assert!(in_time.is_some());
    // The same text again is no change, and its verdict stays.
    let same = given::edit(&ctx, &author, post.id, "an awful day").await;
    assert_eq!(same.analysis.unwrap().status, Status::Done);
}

#[tokio::test]
async fn of_many_workers_one_gets_the_post() {
    let ctx = testing::ctx().await;
    let (_, job) = written(&ctx).await;
    let tries = (0..20).map(|worker| {
        let (ctx, job) = (ctx.clone(), job.clone());
        tokio::spawn(async move { claims(&ctx, &job, &format!("worker {worker}")).await })
    });
    let mut got_it = 0;
    for one in tries.collect::<Vec<_>>() {
        got_it += u32::from(one.await.unwrap());
    }
    assert_eq!(got_it, 1);
}

#[tokio::test]
async fn a_post_that_fails_waits_longer_each_time_is_given_up_and_can_be_revived() {
    let ctx = testing::ctx().await;
    let (post, job) = written(&ctx).await;
    for attempts in 1..=MAX_ATTEMPTS {
        assert!(claims(&ctx, &job, "a").await, "attempt {attempts}");
        let is_others = analysis::fail(&ctx, &job, "b", "not b's").await.unwrap();
        assert_eq!(is_others, None, "only its holder can fail it");
        let failure = analysis::fail(&ctx, &job, "a", &"é".repeat(400))
            .await
            .unwrap();
        let fate = if attempts < MAX_ATTEMPTS {
            Fate::Waits
        } else {
            Fate::Dead
        };
        assert_eq!(failure, Some(Failure { fate, attempts }));
        assert!(
            !claims(&ctx, &job, "a").await,
            "a second hint must not cut the wait short"
        );
        given::make_due(&ctx).await;
    }
    let (status, attempts, error) = state(&ctx, post.id).await;
    assert_eq!((status.as_str(), attempts), ("dead", MAX_ATTEMPTS));
    assert_eq!(error.unwrap(), "é".repeat(300));
    let view = posts::get(&ctx, None, post.id)
        .await
        .unwrap()
        .analysis
        .unwrap();
    assert_eq!(view.error, Some("é".repeat(300)), "readers see why");
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 0);

    assert_eq!(analysis::revive_dead(&ctx).await.unwrap(), 1);
    assert_eq!(analysis::revive_dead(&ctx).await.unwrap(), 0);
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 1);
    assert!(claims(&ctx, &job, "a").await);
    assert!(
        analysis::finish(&ctx, &job, "a", &verdict("at last"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_post_given_back_is_due_again_and_nothing_counts() {
    let ctx = testing::ctx().await;
    let (post, job) = written(&ctx).await;
    for _ in 0..2 * MAX_ATTEMPTS {
        assert!(claims(&ctx, &job, "a").await);
        analysis::release(&ctx, &job, "b", "not b's", Duration::ZERO)
            .await
            .unwrap();
        assert!(!claims(&ctx, &job, "b").await);
        analysis::release(&ctx, &job, "a", "it is away", Duration::ZERO)
            .await
            .unwrap();
    }
    let away = Some("it is away".to_owned());
    assert_eq!(state(&ctx, post.id).await, ("pending".into(), 0, away));
    let view = posts::get(&ctx, None, post.id)
        .await
        .unwrap()
        .analysis
        .unwrap();
    assert_eq!(view.error, None, "nothing is wrong with it");
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 1);
    assert_eq!(
        analysis::offer_due(&ctx).await.unwrap().count,
        0,
        "not twice at once"
    );
}

#[tokio::test]
async fn a_post_whose_worker_has_gone_is_due_when_the_lease_ends() {
    let ctx = testing::ctx().await;
    let (_, job) = written(&ctx).await;
    let due_at_the_end = async || {
        let query =
            "SELECT lease_until = next_enqueue_at AND lease_until > now() FROM post_analysis";
        let row = sqlx::query_scalar::<_, bool>(query).fetch_one(&ctx.db);
        row.await.unwrap()
    };
    assert!(claims(&ctx, &job, "a").await);
    assert!(due_at_the_end().await);
    assert!(!claims(&ctx, &job, "b").await);
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 0);
    // The worker's last sign of life; then it is gone.
    assert!(analysis::renew(&ctx, &job, "a", LEASE).await.unwrap());
    assert!(!analysis::renew(&ctx, &job, "b", LEASE).await.unwrap());
    assert!(due_at_the_end().await);

    given::make_due(&ctx).await;
    assert_eq!(analysis::offer_due(&ctx).await.unwrap().count, 1);
    assert!(claims(&ctx, &job, "b").await);
    assert!(!analysis::renew(&ctx, &job, "a", LEASE).await.unwrap());
    // Nobody minds if the first one was only slow: what it found is as good.
    assert!(
        analysis::finish(&ctx, &job, "a", &verdict("slow"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_deleted_post_is_not_judged() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let post = given::write(&ctx, &author, "never mind").await;
    let claimed = given::write(&ctx, &author, "never mind either").await;
    assert!(claims(&ctx, &hint(&claimed, 1), "a").await);
    for post in [&post, &claimed] {
        posts::delete(&ctx, &author, post.id).await.unwrap();
        assert!(!claims(&ctx, &hint(post, 1), "a").await);
    }
    let late = analysis::finish(&ctx, &hint(&claimed, 1), "a", &verdict("late"))
        .await
        .unwrap();
    assert_eq!(late, None);
    assert_eq!(given::count(&ctx, Status::Pending).await, 0);
}
