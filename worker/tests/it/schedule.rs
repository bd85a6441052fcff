//! What workers compute now and then, without being asked.

use domain::{
    insights,
    testing::{self, posts as given},
    trends,
};

use crate::{llm::Mood, stack::Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_compute_trends_and_insights_and_count_it() {
    let stack = Stack::start(Mood::Well).await;
    let other = given::author(&stack.ctx).await;
    for author in [&stack.author, &other] {
        given::write(&stack.ctx, author, "the first #swallow").await;
    }
    let workers = [stack.worker(), stack.worker()];
    testing::eventually("the trends", async || {
        let trends = trends::current(&stack.ctx).await.unwrap();
        trends
            .tags
            .first()
            .is_some_and(|trend| trend.name == "swallow" && trend.people == 2)
    })
    .await;
    testing::eventually("the insights", async || {
        let count = "SELECT count(*) FROM user_insights WHERE computed_at IS NOT NULL";
        let count: i64 = sqlx::query_scalar(count)
            .fetch_one(&stack.ctx.db)
            .await
            .unwrap();
        count == 2
    })
    .await;
    let insights = insights::get(&stack.ctx, &other).await.unwrap();
    assert_eq!(insights.totals.posts, 1);

    for job in ["trends", "insights"] {
        testing::eventually("both workers to have counted", async || {
            let (mut done, mut tried) = (0.0, 0.0);
            for worker in &workers {
                let run = |outcome| {
                    format!("scheduled_runs_total{{job=\"{job}\",outcome=\"{outcome}\"}}")
                };
                done += worker.metric(&run("done")).await;
                assert_eq!(worker.metric(&run("error")).await, 0.0);
                assert_eq!(worker.metric(&run("away")).await, 0.0);
                tried += worker
                    .metric(&format!("scheduled_run_seconds_count{{job=\"{job}\"}}"))
                    .await;
            }
            done >= 1.0 && tried >= 2.0
        })
        .await;
    }
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgresql_a_try_is_counted_as_away_and_a_stop_does_not_wait() {
    let mut stack = Stack::start(Mood::Well).await;
    stack.config.database.database_url = "postgres://nobody@127.0.0.1:1/nothing".into();
    let worker = stack.worker();
    testing::eventually("a try", async || {
        worker
            .metric("scheduled_runs_total{job=\"trends\",outcome=\"away\"}")
            .await
            >= 1.0
    })
    .await;
    worker.stop().await;
}
