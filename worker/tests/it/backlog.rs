//! A backlog deeper than the queue's library can bear at once.

use std::time::{Duration, Instant};

use domain::testing::{self, PrivateRedis, posts as given};

use crate::{llm::Mood, stack::Stack};

const DEPTH: i32 = 12_000;
/// The longest that the count of judged posts may stand still. The backlog's whole time depends on the machine;
/// offering the next posts too late would show as a gap on any.
const GAP: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_backlog_drains_without_a_gap_and_leaves_nothing_in_redis() {
    let redis = PrivateRedis::start();
    let mut stack = Stack::start_with(Mood::Well, redis.config.clone()).await;
    stack.config.worker_concurrency = 16;
    // Shared verdicts stay in Redis, and are to.
    stack.config.llm.llm_share_seconds = 0;
    given::backlog(&stack.ctx, &stack.author, DEPTH).await;
    let workers = [stack.worker(), stack.worker()];
    let (mut last, mut moved) = (0, Instant::now());
    while last < i64::from(DEPTH) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let done = stack.done().await;
        if done > last {
            (last, moved) = (done, Instant::now());
        }
        assert!(moved.elapsed() < GAP, "it stands still at {done}");
    }
    assert_eq!(stack.llm.calls(), usize::try_from(DEPTH).unwrap());
    testing::eventually("done jobs to be forgotten", async || {
        // The version of the feed, what the workers say of themselves, and little else.
        redis.keys() < 30
    })
    .await;
    for worker in workers {
        worker.stop().await;
    }
}
