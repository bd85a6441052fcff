//! Verdicts shared by texts of the same words, through a real Redis: found, not found, another model's, Redis away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use deadpool_redis::redis;
use domain::{
    redis::Redis,
    testing::{self, PrivateRedis},
};

use crate::{
    llm::{Answer, Client, Server},
    llm_native::answer,
};

/// llm-service with the model "old" until it is told otherwise.
async fn server() -> (Server, Arc<AtomicBool>) {
    let renewed = Arc::new(AtomicBool::new(false));
    let model = Arc::clone(&renewed);
    let server = Server::start(move |asked| {
        let renewed = model.load(Ordering::Relaxed);
        answer(asked, if renewed { "new" } else { "old" })
    })
    .await;
    (server, renewed)
}

fn calls(server: &Server) -> usize {
    server.asked("POST /v1/analyze").len()
}

#[tokio::test]
async fn equal_texts_share_a_verdict_and_others_do_not() {
    let (server, _) = server().await;
    let (config, redis) = (testing::llm::at(server.url()), testing::redis().await);
    // Two processes.
    let (one, two) = (Client::new(&config, &redis), Client::new(&config, &redis));
    for outcome in ["hit", "miss", "off", "error"] {
        assert_eq!(one.shared(outcome), 0.0, "{outcome}");
    }
    let asked = one.llm.analyze("caf\u{e9} time", "").await.unwrap();
    assert_eq!(asked.tokens, 12);
    let shared = two.llm.analyze(" cafe\u{301} \n time ", "").await.unwrap();
    assert_eq!(shared.tokens, 0, "it cost none");
    assert_eq!(
        domain::analysis::Verdict {
            tokens: 12,
            ..shared
        },
        asked
    );
    assert_eq!((one.shared("miss"), two.shared("hit")), (1.0, 1.0));
    assert_eq!(calls(&server), 1);

    for other in ["Caf\u{e9} time", "caf\u{e9}time", "CAF\u{c9} TIME"] {
        assert_eq!(two.llm.analyze(other, "").await.unwrap().tokens, 12);
    }
    assert_eq!(calls(&server), 4);
    // Who judges is asked once, not for every verdict.
    assert_eq!(server.asked("GET /readyz").len(), 2);
}

#[tokio::test]
async fn it_is_kept_for_as_long_as_is_said_and_the_text_is_not_in_redis() {
    let (server, _) = server().await;
    let private = PrivateRedis::start();
    let mut config = testing::llm::at(server.url());
    config.llm_share_seconds = 1_000;
    let client = Client::new(&config, &private.config);
    client.llm.analyze("somebody's words", "").await.unwrap();
    let redis = Redis::new(&private.config).unwrap();
    let mut connection = redis.patient_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut connection)
        .await
        .unwrap();
    let [key] = keys.as_slice() else {
        panic!("{keys:?}");
    };
    assert!(key.starts_with(&redis.key("llm:verdict:")), "{key}");
    let (seconds, value): (u64, String) = redis::pipe()
        .cmd("TTL")
        .arg(key)
        .cmd("GET")
        .arg(key)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!((900..=1_000).contains(&seconds), "{seconds}");
    assert!(value.contains("old") && !value.contains("words"), "{value}");

    // What cannot be read is made anew, and a verdict of other figures than allowed is none.
    for nonsense in ["{", &value.replace("0.25", "25")] {
        redis::cmd("SET")
            .arg(key)
            .arg(nonsense)
            .exec_async(&mut connection)
            .await
            .unwrap();
        let verdict = client.llm.analyze("somebody's words", "").await.unwrap();
        assert_eq!(verdict.tokens, 12, "{nonsense}");
    }
}

#[tokio::test]
async fn a_new_model_does_not_get_the_verdicts_of_the_old_one() {
    let (server, renewed) = server().await;
    let (config, redis) = (testing::llm::at(server.url()), testing::redis().await);
    let before = Client::new(&config, &redis);
    assert_eq!(before.llm.analyze("hello", "").await.unwrap().model, "old");
    renewed.store(true, Ordering::Relaxed);
    let after = Client::new(&config, &redis);
    let verdict = after.llm.analyze("hello", "").await.unwrap();
    assert_eq!((verdict.model.as_str(), verdict.tokens), ("new", 12));
    assert_eq!(after.shared("miss"), 1.0);

    // A process that still knows the old one learns of the new one with the next verdict it asks for.
    before.llm.analyze("something else", "").await.unwrap();
    let verdict = before.llm.analyze("hello", "").await.unwrap();
    assert_eq!((verdict.model.as_str(), verdict.tokens), ("new", 0));
    assert_eq!(calls(&server), 3);
}

#[tokio::test]
async fn an_explanation_is_asked_for_once_and_kept() {
    let (server, _) = server().await;
    let (config, redis) = (testing::llm::at(server.url()), testing::redis().await);
    let client = Client::new(&config, &redis);
    assert_eq!(
        client.llm.analyze("hello", "").await.unwrap().explanation,
        ""
    );
    for tokens in [12, 0] {
        let verdict = client.llm.explain("hello", "").await.unwrap();
        assert_eq!(
            (verdict.explanation.as_str(), verdict.tokens),
            ("Because.", tokens)
        );
    }
    let verdict = client.llm.analyze("hello", "").await.unwrap();
    assert_eq!(verdict.explanation, "Because.", "the better one is shared");
    // A dangerous text is explained from the start.
    client.llm.analyze("I kill you", "").await.unwrap();
    client.llm.explain("I kill you", "").await.unwrap();
    assert_eq!(calls(&server), 3);
    assert_eq!((client.shared("miss"), client.shared("hit")), (3.0, 3.0));
}

#[tokio::test]
async fn a_verdict_without_an_explanation_does_not_replace_one_that_came_meanwhile() {
    // Two replicas of llm-service, of which one takes long.
    let ((slow, _), (quick, _)) = (server().await, server().await);
    let redis = testing::redis().await;
    let one = Client::new(&testing::llm::at(slow.url()), &redis);
    let two = Client::new(&testing::llm::at(quick.url()), &redis);
    slow.hold();
    let analysis = tokio::spawn(async move { one.llm.analyze("hello", "").await.unwrap() });
    testing::eventually("it to be asked for", async || calls(&slow) == 1).await;
    assert_eq!(two.llm.explain("hello", "").await.unwrap().tokens, 12);
    slow.release();
    assert_eq!(analysis.await.unwrap().explanation, "");
    let verdict = two.llm.explain("hello", "").await.unwrap();
    assert_eq!(
        (verdict.explanation.as_str(), verdict.tokens),
        ("Because.", 0)
    );
}

#[tokio::test]
async fn off_is_off() {
    let (server, _) = server().await;
    let mut config = testing::llm::at(server.url());
    config.llm_share_seconds = 0;
    let private = PrivateRedis::start();
    let client = Client::new(&config, &private.config);
    for _ in 0..2 {
        client.llm.analyze("hello", "").await.unwrap();
    }
    assert_eq!((calls(&server), client.shared("off")), (2, 2.0));
    assert_eq!(private.keys(), 0);
}

#[tokio::test]
async fn without_redis_or_without_a_name_every_text_is_judged() {
    let (server, _) = server().await;
    let config = testing::llm::at(server.url());
    let mut private = PrivateRedis::start();
    let client = Client::new(&config, &private.config);
    private.stop();
    for _ in 0..3 {
        assert_eq!(client.llm.analyze("hello", "").await.unwrap().tokens, 12);
    }
    assert_eq!((calls(&server), client.shared("error")), (3, 3.0));
    private.start_again();
    testing::eventually("verdicts to be shared again", async || {
        client.llm.analyze("hello", "").await.unwrap().tokens == 0
    })
    .await;

    let nameless = Server::start(|asked| match asked.what.as_str() {
        "GET /readyz" => Answer::new(404, ""),
        _ => answer(asked, "m"),
    })
    .await;
    let config = testing::llm::at(nameless.url());
    let client = Client::new(&config, &testing::redis().await);
    assert_eq!(client.llm.analyze("hello", "").await.unwrap().tokens, 12);
    assert_eq!((calls(&nameless), client.shared("error")), (1, 1.0));
}

#[tokio::test]
async fn equal_texts_at_the_same_moment_ask_once() {
    let (server, _) = server().await;
    let config = testing::llm::at(server.url());
    let client = Client::new(&config, &testing::redis().await);
    server.hold();
    let ask = |llm: domain::llm::Llm| {
        tokio::spawn(async move { llm.analyze("hello", "").await.unwrap().tokens })
    };
    let first = ask(client.llm.clone());
    testing::eventually("the first to ask", async || calls(&server) == 1).await;
    let others: Vec<_> = (0..5).map(|_| ask(client.llm.clone())).collect();
    // The first one's caller goes away, as a worker does that lost its lease; another one asks in its place.
    first.abort();
    testing::eventually("another to ask", async || calls(&server) == 2).await;
    server.release();
    let mut tokens = 0;
    for other in others {
        tokens += other.await.unwrap();
    }
    assert_eq!(tokens, 12, "it was paid for once");
    assert_eq!((calls(&server), client.shared("hit")), (2, 4.0));

    let broken = Server::start(|asked| match asked.what.as_str() {
        "POST /v1/analyze" => Answer::new(500, ""),
        _ => answer(asked, "m"),
    })
    .await;
    let client = Client::new(&testing::llm::at(broken.url()), &testing::redis().await);
    for failures in 1..=2 {
        assert!(client.llm.analyze("hello", "").await.is_err());
        assert_eq!(calls(&broken), failures, "a failure is not kept");
    }
}
