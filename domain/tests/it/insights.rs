//! Insights: that the figures are right, when they are computed and for whom.

use chrono::{DateTime, Days, Utc};
use domain::{
    Ctx,
    ids::{PostId, UserId},
    insights::{self, Insights, TopicCount, Totals},
    likes, posts, relations,
    testing::{self, posts as given},
};

use crate::statements::Statements;

async fn sql(ctx: &Ctx, sql: &'static str) {
    sqlx::query(sql).execute(&ctx.db).await.unwrap();
}

/// Judges a post, and makes it so many days old.
async fn judge(ctx: &Ctx, post: PostId, score: f32, topics: &[&str], days: i32) {
    let polarity = match score {
        ..0.0 => "negative",
        0.0 => "neutral",
        _ => "positive",
    };
    sqlx::query(
        "UPDATE post_analysis SET status = 'done', polarity = $2, score = $3, confidence = 1, safety = 'ok',
             topics = $4, explanation = '', model = 'm', finished_at = now()
         WHERE post_id = $1",
    )
    .bind(post.0)
    .bind(polarity)
    .bind(score)
    .bind(topics.iter().map(|topic| (*topic).to_owned()).collect::<Vec<_>>())
    .execute(&ctx.db)
    .await
    .unwrap();
    sqlx::query("UPDATE posts SET created_at = now() - make_interval(days => $2) WHERE id = $1")
        .bind(post.0)
        .bind(days)
        .execute(&ctx.db)
        .await
        .unwrap();
}

async fn computed_at(ctx: &Ctx, id: UserId) -> Option<DateTime<Utc>> {
    sqlx::query_scalar::<_, Option<DateTime<Utc>>>(
        "SELECT computed_at FROM user_insights WHERE user_id = $1",
    )
    .bind(id.0)
    .fetch_optional(&ctx.db)
    .await
    .unwrap()
    .flatten()
}

/// Lets minutes pass for the figures and for the schedule.
async fn pass(ctx: &Ctx, minutes: i32) {
    for sql in [
        "UPDATE user_insights SET computed_at = computed_at - make_interval(mins => $1),
             due_at = due_at - make_interval(mins => $1)",
        "UPDATE schedules SET ran_at = ran_at - make_interval(mins => $1)",
        "UPDATE post_analysis SET pending_since = pending_since - make_interval(mins => $1),
             finished_at = finished_at - make_interval(mins => $1)",
    ] {
        sqlx::query(sql)
            .bind(minutes)
            .execute(&ctx.db)
            .await
            .unwrap();
    }
}

fn day(insights: &Insights, ago: usize) -> (i64, Option<f64>, [i64; 3]) {
    let day = &insights.days[insights.days.len() - 1 - ago];
    (
        day.posts,
        day.polarity_mean,
        [day.positive, day.neutral, day.negative],
    )
}

#[tokio::test]
async fn the_figures_are_those_of_ones_own_posts() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    let mut own = Vec::new();
    for (score, topics, days) in [
        (0.5, &["food", "art"][..], 0),
        (-0.25, &["food"], 0),
        (0.0, &["art"], 1),
        (1.0, &["food"], 29),
        (1.0, &["history"], 30),
    ] {
        let post = given::write(&ctx, &ada, "a post").await.id;
        judge(&ctx, post, score, topics, days).await;
        own.push(post);
    }
    given::write(&ctx, &ada, "not judged yet").await;
    let deleted = given::write(&ctx, &ada, "deleted").await.id;
    likes::like(&ctx, &bob, deleted).await.unwrap();
    posts::delete(&ctx, &ada, deleted).await.unwrap();
    let bobs = given::write(&ctx, &bob, "somebody else's").await.id;
    posts::repost(&ctx, &ada, bobs).await.unwrap();
    likes::like(&ctx, &bob, own[0]).await.unwrap();
    likes::like(&ctx, &bob, own[4]).await.unwrap();
    posts::repost(&ctx, &bob, own[0]).await.unwrap();
    given::reply(&ctx, &bob, own[1], "an answer").await;
    relations::follow(&ctx, &bob, ada.id).await.unwrap();

    let insights = insights::get(&ctx, &ada).await.unwrap();
    let today = ctx.clock.now().date_naive();
    let dates: Vec<_> = insights.days.iter().map(|day| day.date).collect();
    let expected: Vec<_> = (0..30).rev().map(|ago| today - Days::new(ago)).collect();
    assert_eq!(dates, expected);
    assert_eq!(day(&insights, 0), (3, Some(0.125), [1, 0, 1]));
    assert_eq!(day(&insights, 1), (1, Some(0.0), [0, 1, 0]));
    assert_eq!(day(&insights, 2), (0, None, [0, 0, 0]));
    assert_eq!(day(&insights, 29), (1, Some(1.0), [1, 0, 0]));
    let topic = |name: &str, posts| TopicCount {
        name: name.into(),
        posts,
    };
    assert_eq!(insights.topics, [topic("food", 3), topic("art", 2)]);
    let totals = Totals {
        posts: 6,
        likes_received: 2,
        reposts_received: 1,
        replies_received: 1,
        followers: 1,
    };
    assert_eq!(insights.totals, totals);
    assert!((ctx.clock.now() - insights.computed_at).num_seconds().abs() < 60);

    // Somebody without posts sees that, and no error.
    let nobody = insights::get(&ctx, &given::author(&ctx).await)
        .await
        .unwrap();
    assert_eq!(
        (nobody.days.len(), nobody.topics.len(), nobody.totals.posts),
        (30, 0, 0)
    );
}

#[tokio::test]
async fn who_wrote_is_computed_and_not_again_before_ten_minutes() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    let post = given::write(&ctx, &ada, "a post").await.id;
    assert!(insights::recompute(&ctx).await.unwrap());
    let first = computed_at(&ctx, ada.id).await.unwrap();
    assert_eq!(computed_at(&ctx, bob.id).await, None, "bob wrote nothing");

    // Judged a minute later: due, but not yet.
    pass(&ctx, 1).await;
    judge(&ctx, post, 0.5, &["food"], 0).await;
    assert!(!insights::recompute(&ctx).await.unwrap());
    assert_eq!(insights::get(&ctx, &ada).await.unwrap().topics, []);
    pass(&ctx, 9).await;
    assert!(insights::recompute(&ctx).await.unwrap());
    assert!(computed_at(&ctx, ada.id).await.unwrap() > first);
    assert_eq!(
        insights::get(&ctx, &ada).await.unwrap().topics[0].name,
        "food"
    );

    // Long after nothing happened: at once when something does, and otherwise once a day.
    pass(&ctx, 60).await;
    assert!(!insights::recompute(&ctx).await.unwrap());
    given::write(&ctx, &ada, "another").await;
    pass(&ctx, 1).await;
    sql(
        &ctx,
        "UPDATE post_analysis SET pending_since = now() WHERE status = 'pending'",
    )
    .await;
    assert!(insights::recompute(&ctx).await.unwrap());
    assert_eq!(insights::get(&ctx, &ada).await.unwrap().totals.posts, 2);
    // What was written in the seconds before the last look is looked at once more.
    pass(&ctx, 11).await;
    insights::recompute(&ctx).await.unwrap();
    pass(&ctx, 23 * 60).await;
    assert!(!insights::recompute(&ctx).await.unwrap());
    pass(&ctx, 60).await;
    assert!(insights::recompute(&ctx).await.unwrap());
}

#[tokio::test]
async fn who_looks_at_old_figures_gets_them_and_new_ones_soon() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    insights::get(&ctx, &ada).await.unwrap();
    relations::follow(&ctx, &bob, ada.id).await.unwrap();
    assert_eq!(insights::get(&ctx, &ada).await.unwrap().totals.followers, 0);
    assert!(
        !insights::recompute(&ctx).await.unwrap(),
        "they are not old"
    );
    pass(&ctx, 11).await;
    assert_eq!(insights::get(&ctx, &ada).await.unwrap().totals.followers, 0);
    assert!(insights::recompute(&ctx).await.unwrap());
    assert_eq!(insights::get(&ctx, &ada).await.unwrap().totals.followers, 1);
}

#[tokio::test]
async fn many_people_are_computed_at_once_by_any_number_of_workers() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    sql(
        &ctx,
        "INSERT INTO users (username, password_hash) SELECT 'u' || n, '' FROM generate_series(1, 500) AS n",
    )
    .await;
    sql(
        &ctx,
        "INSERT INTO posts (user_id, content) SELECT id, 'post' FROM users",
    )
    .await;
    let workers = (0..3).map(|_| {
        let ctx = ctx.clone();
        tokio::spawn(async move { insights::recompute(&ctx).await.unwrap() })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    insights::recompute(&ctx).await.unwrap();
    let count = "SELECT count(*) FROM user_insights WHERE (data -> 'totals' ->> 'posts')::int = 1";
    let count: i64 = sqlx::query_scalar(count).fetch_one(&ctx.db).await.unwrap();
    assert_eq!(count, 501);

    // As many statements for all of them as for one.
    let statements = Statements::watch();
    let mut counts = Vec::new();
    for most in [1_i64, 199] {
        sqlx::query("UPDATE user_insights SET due_at = now() WHERE user_id <= $1")
            .bind(most)
            .execute(&ctx.db)
            .await
            .unwrap();
        sql(&ctx, "UPDATE schedules SET ran_at = now()").await;
        statements.take("");
        assert!(insights::recompute(&ctx).await.unwrap());
        counts.push(statements.take(""));
    }
    assert_eq!(counts[0], counts[1]);
    insights::get(&ctx, &ada).await.unwrap();
    assert_eq!(statements.take(""), 1);
}

#[tokio::test]
async fn the_figures_of_an_account_go_after_it() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    given::write(&ctx, &ada, "a post").await;
    insights::recompute(&ctx).await.unwrap();
    sql(&ctx, "UPDATE users SET deleted_at = now()").await;
    pass(&ctx, 24 * 60).await;
    insights::recompute(&ctx).await.unwrap();
    assert!(!insights::recompute(&ctx).await.unwrap());
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM user_insights")
        .fetch_one(&ctx.db)
        .await
        .unwrap();
    assert_eq!(left, 0);
    insights::get(&ctx, &ada).await.unwrap_err();
}
