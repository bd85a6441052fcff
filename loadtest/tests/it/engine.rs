//! Both models, by what arrives and what is counted.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use loadtest::{
    accounts::join,
    engine::{Flow, Measured, Options, Pace, Watch, drive, parse_stages},
    scenarios::{Scenario, recent_posts},
};

use crate::server::Server;

const SHORT: Duration = Duration::from_millis(300);

fn closed(users: usize) -> Pace {
    Pace::hold(users, SHORT)
}

async fn run(server: &Server, scenario: &Scenario, pace: &Pace) -> Measured {
    drive(&server.target, scenario, pace, &Options::default(), &())
        .await
        .unwrap()
}

#[tokio::test]
async fn each_request_that_arrives_is_counted_once_and_each_user_has_one_connection() {
    let server = Server::start().await;
    let measured = run(&server, &Scenario::read_feed(), &closed(4)).await;
    assert!(measured.requests > 4);
    assert_eq!(
        measured.requests as usize,
        server.seen.count("GET /api/posts")
    );
    assert_eq!(measured.requests, measured.latency.len());
    assert_eq!(measured.failures, 0, "{:?}", measured.first_failures);
    assert_eq!(measured.by_step["feed"].requests, measured.requests);
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 4);
    assert_eq!(
        measured
            .seconds
            .iter()
            .map(|second| second.requests)
            .sum::<u64>(),
        measured.requests
    );
    assert!(measured.elapsed >= SHORT);
    assert!(measured.bytes > measured.requests * 10);
}

#[tokio::test]
async fn what_belongs_to_the_warm_up_is_asked_and_not_counted() {
    let server = Server::start().await;
    let options = Options {
        warmup: SHORT,
        ..Options::default()
    };
    let measured = drive(
        &server.target,
        &Scenario::read_feed(),
        &closed(1),
        &options,
        &(),
    )
    .await
    .unwrap();
    assert!(measured.requests > 0);
    assert!((measured.requests as usize) < server.seen.all());
}

#[tokio::test]
async fn a_scenario_does_what_it_says_by_the_people_it_is_given() {
    let server = Server::start().await;
    let accounts = join(&server.target, 3, None).await.unwrap();
    let ids = recent_posts(&server.target, 2).await.unwrap();
    assert_eq!(ids, [3, 2]);
    let scenario = Scenario::mixed_contract(&accounts, ids);
    scenario.check().unwrap();
    // As many as are surely enough for each kind.
    let pace = Pace::steady(2000.0, Duration::from_secs(1), 16);
    let measured = run(&server, &scenario, &pace).await;
    assert_eq!(measured.failures, 0, "{:?}", measured.first_failures);
    for (step, call) in [
        ("feed", "GET /api/posts"),
        ("read one", "GET /api/posts/#"),
        ("post", "POST /api/posts"),
        ("edit", "PUT /api/posts/#"),
    ] {
        let mut arrived = server.seen.count(call) as u64;
        if step == "feed" {
            arrived -= 1; // the one that asked for the posts
        }
        assert!(arrived > 0, "{step}");
        assert_eq!(measured.by_step[step].requests, arrived, "{step}");
    }
    let reads = measured.by_step["feed"].requests + measured.by_step["read one"].requests;
    let share = reads as f64 / measured.requests as f64;
    assert!((0.85..0.95).contains(&share), "{share}");
}

#[tokio::test]
async fn the_other_scenarios_reach_their_addresses() {
    let server = Server::start().await;
    let accounts = join(&server.target, 5, None).await.unwrap();
    let pace = Pace::steady(3000.0, Duration::from_secs(1), 16);
    let measured = run(&server, &Scenario::mixed(&accounts, vec![1, 2]), &pace).await;
    assert_eq!(measured.failures, 0, "{:?}", measured.first_failures);
    let steps: Vec<&str> = measured.by_step.keys().copied().collect();
    assert_eq!(
        steps,
        ["feed", "follow", "home", "like", "post", "read one"]
    );
    for call in [
        "GET /api/home",
        "POST /api/posts/#/like",
        "POST /api/user/#/follow",
    ] {
        assert!(server.seen.count(call) > 0, "{call}");
    }
    let measured = run(&server, &Scenario::signup_storm(), &closed(2)).await;
    assert_eq!(measured.failures, 0, "{:?}", measured.first_failures);
    assert!(measured.by_step["sign up"].requests >= measured.by_step["log in"].requests);
}

#[tokio::test]
async fn posts_have_words_and_a_scenario_without_what_it_needs_is_refused() {
    let server = Server::start().await;
    let accounts = join(&server.target, 1, None).await.unwrap();
    let measured = run(&server, &Scenario::post(&accounts), &closed(1)).await;
    assert_eq!(measured.failures, 0, "{:?}", measured.first_failures);
    let bodies = server.seen.bodies.lock().unwrap();
    assert_eq!(bodies.len() as u64, measured.requests);
    assert!(bodies[0] != bodies[1]);
    assert!(
        Scenario::post(&[])
            .check()
            .unwrap_err()
            .to_string()
            .contains("accounts")
    );
    assert!(
        Scenario::read_one(vec![])
            .check()
            .unwrap_err()
            .to_string()
            .contains("posts")
    );
}

#[tokio::test]
async fn failures_are_counted_with_a_reason_and_what_the_server_said() {
    let server = Server::start().await;
    server.seen.failing.store(503, Ordering::Relaxed);
    let measured = run(&server, &Scenario::read_feed(), &closed(2)).await;
    assert!(measured.requests > 0);
    assert_eq!(measured.failures, measured.requests);
    assert_eq!(
        measured.reasons["feed: status 503 instead of 200"],
        measured.failures
    );
    assert_eq!(
        measured.first_failures,
        [r#"GET /api/posts: status 503 instead of 200: {"message":"told to fail"}"#]
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failure_and_not_a_hang() {
    let server = Server::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = loadtest::engine::Target::parse(&format!("http://{free}"), false).unwrap();
    let measured = drive(
        &nobody,
        &Scenario::read_feed(),
        &closed(1),
        &Options::default(),
        &(),
    )
    .await
    .unwrap();
    assert!(measured.requests > 0 && measured.failures == measured.requests);
    assert!(
        measured
            .reasons
            .keys()
            .all(|reason| reason.contains("connection refused")),
        "{:?}",
        measured.reasons
    );
    drop(server);
}

#[tokio::test]
async fn no_answer_in_time_is_a_failure() {
    let server = Server::start().await;
    server.seen.stalled.send_replace(true);
    let options = Options {
        timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let measured = drive(
        &server.target,
        &Scenario::read_feed(),
        &closed(1),
        &options,
        &(),
    )
    .await
    .unwrap();
    assert!(measured.failures > 0);
    assert!(
        measured
            .reasons
            .keys()
            .all(|reason| reason.contains("no answer within 0.05 s")),
        "{:?}",
        measured.reasons
    );
}

#[tokio::test]
async fn the_open_model_lets_as_many_arrive_as_were_due() {
    let server = Server::start().await;
    let pace = Pace::Open {
        stages: parse_stages("200:1s").unwrap(),
        max_users: 50,
    };
    let measured = run(&server, &Scenario::read_feed(), &pace).await;
    assert_eq!(measured.requests + measured.dropped, 100);
    assert_eq!(measured.requests as usize, server.seen.all());
}

/// Releases the stalled server once the generator has lived through so many seconds of it.
struct ReleaseAfter<'a> {
    server: &'a Server,
    seconds: usize,
    seen: AtomicUsize,
}

impl Watch for ReleaseAfter<'_> {
    fn second(&self, _: &Measured) -> Flow {
        if self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.seconds {
            self.server.seen.stalled.send_replace(false);
        }
        Flow::GoOn
    }
}

#[tokio::test]
async fn one_stall_is_felt_by_all_who_were_due_meanwhile_in_the_open_model() {
    let server = Server::start().await;
    server.seen.stalled.send_replace(true);
    let watch = ReleaseAfter {
        server: &server,
        seconds: 1,
        seen: AtomicUsize::default(),
    };
    // 100 are due in the first second, when nothing is answered, and 100 in the next.
    let pace = Pace::steady(100.0, Duration::from_secs(2), 200);
    let measured = drive(
        &server.target,
        &Scenario::read_feed(),
        &pace,
        &Options::default(),
        &watch,
    )
    .await
    .unwrap();
    assert_eq!(
        (measured.requests, measured.failures, measured.dropped),
        (200, 0, 0)
    );
    // Those who were due in its first half waited half a second or more each, though the server stalled but once.
    let late = measured.latency.len() - measured.latency.count_between(0, 499_000);
    assert!(late >= 50, "{late} were late");
    assert!(measured.p(0.99) >= Duration::from_millis(500));

    // The closed model sees one late request per user: that is what it hides.
    server.seen.stalled.send_replace(true);
    let watch = ReleaseAfter {
        server: &server,
        seconds: 1,
        seen: AtomicUsize::default(),
    };
    let pace = Pace::hold(2, Duration::from_secs(2));
    let measured = drive(
        &server.target,
        &Scenario::read_feed(),
        &pace,
        &Options::default(),
        &watch,
    )
    .await
    .unwrap();
    let late = measured.latency.len() - measured.latency.count_between(0, 499_000);
    assert!((2..50).contains(&late), "{late}");
}

#[tokio::test]
async fn who_finds_no_free_user_is_dropped_and_counted() {
    let server = Server::start().await;
    server.seen.stalled.send_replace(true);
    let watch = ReleaseAfter {
        server: &server,
        seconds: 1,
        seen: AtomicUsize::default(),
    };
    // Three users wait for the stalled server; everybody else of the first second is dropped.
    let pace = Pace::steady(50.0, Duration::from_secs(1), 3);
    let options = Options {
        threads: 1,
        ..Options::default()
    };
    let measured = drive(
        &server.target,
        &Scenario::read_feed(),
        &pace,
        &options,
        &watch,
    )
    .await
    .unwrap();
    assert_eq!((measured.requests, measured.dropped), (3, 47));
    assert_eq!(server.seen.all(), 3);
}

struct StopAtOnce;

impl Watch for StopAtOnce {
    fn second(&self, _: &Measured) -> Flow {
        Flow::Stop
    }
}

#[tokio::test]
async fn a_run_that_is_stopped_keeps_what_was_measured() {
    let server = Server::start().await;
    let hours = Pace::hold(2, Duration::from_secs(7200));
    let measured = drive(
        &server.target,
        &Scenario::read_feed(),
        &hours,
        &Options::default(),
        &StopAtOnce,
    )
    .await
    .unwrap();
    assert!(measured.stopped && measured.requests > 0);
    assert!(measured.elapsed < Duration::from_secs(7200));

    let options = Options::default();
    let (stop, mut arrived) = (options.stop.clone(), server.seen.arrived.subscribe());
    let before = server.seen.all();
    let cancel = async {
        arrived
            .wait_for(|count| *count > before + 10)
            .await
            .unwrap();
        stop.cancel();
    };
    let scenario = Scenario::read_feed();
    let (measured, ()) = tokio::join!(
        drive(&server.target, &scenario, &hours, &options, &()),
        cancel
    );
    let measured = measured.unwrap();
    assert!(measured.stopped && measured.requests > 0);
}
