//! Stories over the whole native stack: real NGINX, API replicas, PostgreSQL, Redis, worker and language model.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use domain::{
    config::{LlmBackend, LlmConfig, RedisConfig},
    llm::{Llm, LlmError},
    redis::Redis,
};
use e2e::{Person, Stack, eventually, ids, json_of};
use reqwest::Method;
use serde_json::Value;

/// Long enough for a verdict on a busy machine with two cores.
const VERDICT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_post_is_in_the_feed_at_once_and_judged_moments_later() {
    let stack = Stack::get().await;
    let ada = Person::join(&stack, "ada").await;
    let request_id = format!("e2e-journey-{}", ada.id);
    let post = ada
        .post("What a wonderful morning, I love this city!", &request_id)
        .await;
    let id = post["id"].as_i64().unwrap();
    assert_eq!(post["analysis"]["status"], "pending");
    assert_eq!(post["sentiment"], "");
    for replica in stack.replicas("API") {
        let feed = json_of(&stack.http, &format!("{replica}/api/posts")).await;
        assert!(ids(&feed).contains(&id), "{replica} does not show the post");
    }

    let url = format!("{}/api/posts/{id}", stack.url);
    eventually("the verdict", VERDICT, async || {
        json_of(&stack.http, &url).await["analysis"]["status"] == "done"
    })
    .await;
    let judged = json_of(&stack.http, &url).await;
    let analysis = &judged["analysis"];
    let score = analysis["score"].as_f64().unwrap();
    assert!(
        score > 0.0 && score <= 1.0,
        "a glad post has the score {score}"
    );
    assert!((0.0..=1.0).contains(&analysis["confidence"].as_f64().unwrap()));
    assert!(!analysis["model"].as_str().unwrap().is_empty());
    assert!(["ok", "dangerous"].contains(&judged["sentiment"].as_str().unwrap()));
    assert_eq!(judged["sentiment"], analysis["safety"]);
    for replica in stack.replicas("API") {
        eventually(
            "the verdict in the feed",
            Duration::from_secs(5),
            async || {
                let feed = json_of(&stack.http, &format!("{replica}/api/posts?limit=100")).await;
                let mut posts = feed.as_array().unwrap().iter();
                posts.any(|post| post["id"] == id && post["analysis"]["status"] == "done")
            },
        )
        .await;
    }
    for program in ["nginx", "api", "worker", "llm"] {
        eventually(program, Duration::from_secs(20), async || {
            stack.log_holds(program, &request_id)
        })
        .await;
    }
    let mut stored = String::new();
    eventually(
        "the way to the verdict in the log store",
        Duration::from_secs(20),
        async || {
            let words = ["run", "api", "logs", "--format", "json", "--request-id"];
            stored = stack.control(&[&words[..], &[&request_id]].concat()).await;
            let of = |service: &str| stored.contains(&format!(r#""name":"{service}""#));
            of("api") && of("worker")
        },
    )
    .await;
    assert!(
        stored.contains(r#""http.status":201"#) && !stored.contains("wonderful morning"),
        "{stored}"
    );
}

#[tokio::test]
async fn the_model_suggests_a_post() {
    let stack = Stack::get().await;
    let ben = Person::join(&stack, "ben").await;
    let answer = ben
        .send(Method::GET, "/api/posts/generate", None, "e2e-generate")
        .await;
    assert_eq!(answer.status(), 201);
    let content = answer.json::<Value>().await.unwrap()["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!((1..=140).contains(&content.chars().count()), "{content:?}");
}

#[tokio::test]
async fn why_a_post_was_judged_so_is_told_when_asked() {
    let stack = Stack::get().await;
    let ada = Person::join(&stack, "ada").await;
    let post = ada
        .post("The concert was wonderful, we sang all night!", "e2e-why")
        .await;
    let address = format!("/api/posts/{}/explanation", post["id"]);
    let mut explanation = String::new();
    eventually(
        "the post is judged and explained",
        Duration::from_secs(60),
        async || {
            let answer = ada.send(Method::GET, &address, None, "e2e-why").await;
            if answer.status() == 409 {
                return false;
            }
            assert_eq!(answer.status(), 200);
            let answer: Value = answer.json().await.unwrap();
            explanation = answer["explanation"].as_str().unwrap().to_owned();
            true
        },
    )
    .await;
    assert!(
        (1..=200).contains(&explanation.chars().count()),
        "{explanation:?}"
    );
    let post = json_of(
        &stack.http,
        &format!("{}/api/posts/{}", stack.url, post["id"]),
    )
    .await;
    assert_eq!(
        post["analysis"]["explanation"],
        explanation.as_str(),
        "it is kept: {post:#}"
    );
    let topics = post["analysis"]["topics"].as_array().unwrap();
    assert!(topics.contains(&"music".into()), "{post:#}");
}

#[tokio::test]
async fn the_model_is_reached_through_openais_protocol_too() {
    let stack = Stack::get().await;
    let settings = LlmConfig {
        llm_backend: LlmBackend::Openai,
        llm_url: stack.replicas("LLM")[0].parse().unwrap(),
        llm_api_model: None,
        llm_api_key: None,
        llm_timeout_seconds: 60,
        llm_share_seconds: 0,
    };
    // Nothing is shared, so there need be no Redis at this address.
    let redis = Redis::new(&RedisConfig {
        redis_url: None,
        redis_host: "127.0.0.1".into(),
        redis_port: 1,
        redis_prefix: "e2e".into(),
    })
    .unwrap();
    let llm = Llm::new(&settings, redis, &prometheus::Registry::new()).unwrap();
    // The small model follows no instructions: it may fail to judge or to write so, but in this one way only, and not
    // before it was understood.
    let refusal = "what it wrote is not the JSON that it was asked for";
    let text = "What a lovely day, I am so happy!";
    match llm.analyze(text, "e2e-openai").await {
        Ok(verdict) => assert!(verdict.prompt_version.starts_with("openai"), "{verdict:?}"),
        Err(LlmError::Failed(why)) => assert_eq!(why, refusal),
        Err(error) => panic!("{error}"),
    }
    match llm.generate(140, "e2e-openai").await {
        Ok(post) => assert!((1..=140).contains(&post.chars().count()), "{post:?}"),
        Err(LlmError::Failed(why)) => assert_eq!(why, refusal),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn nginx_keeps_metrics_to_itself_and_speaks_the_one_error_shape() {
    let stack = Stack::get().await;
    let answer = stack
        .http
        .get(format!("{}/metrics", stack.url))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert!(!answer.headers()["x-request-id"].is_empty());
    let problem: Value = answer.json().await.unwrap();
    for member in ["message", "type", "title", "detail"] {
        assert!(problem[member].is_string(), "{member} in {problem}");
    }
    assert_eq!(problem["status"], 404);
}

#[tokio::test]
async fn what_is_documented_is_what_is_served() {
    let stack = Stack::get().await;
    let served = json_of(&stack.http, &format!("{}/api-docs/openapi.json", stack.url)).await;
    let printed: Value =
        serde_json::from_str(&stack.control(&["run", "api", "openapi"]).await).unwrap();
    assert_eq!(served, printed);
    for (path, methods) in served["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let url = format!("{}{}", stack.url, path.replace("{id}", "1"));
            let answer = stack
                .http
                .request(method.clone(), url)
                .send()
                .await
                .unwrap();
            let status = answer.status();
            let kind = answer.headers().get("content-type").cloned();
            if kind.is_some_and(|kind| kind == "text/event-stream") {
                // Served, and without an end.
                continue;
            }
            let body = answer.text().await.unwrap();
            let nothing = status == 405 || body.contains("nothing at this address");
            assert!(
                !nothing,
                "{method} {path} is documented and answers {status} {body}"
            );
        }
    }
    let page = stack
        .http
        .get(format!("{}/docs/", stack.url))
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().contains("swagger-ui"));
}

#[tokio::test]
async fn prometheus_sees_every_replica() {
    let stack = Stack::get().await;
    let url = format!("{}/api/v1/query?query=up", stack.prometheus());
    eventually(
        "every replica is scraped",
        Duration::from_secs(60),
        async || {
            let answer = json_of(&stack.http, &url).await;
            let up = |job: &str| {
                let results = answer["data"]["result"].as_array().unwrap().iter();
                results
                    .filter(|one| one["metric"]["job"] == job && one["value"][1] == "1")
                    .count()
            };
            up("api") == stack.replicas("API").len()
                && up("worker") == stack.replicas("WORKER").len()
                && up("llm") == stack.replicas("LLM").len()
        },
    )
    .await;
}

#[tokio::test]
async fn readers_notice_nothing_when_a_replica_dies_and_when_replicas_come_and_go() {
    let stack = Stack::get().await;
    let (running, read) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (http, url) = (
                stack.http.clone(),
                format!("{}/api/posts?limit=5", stack.url),
            );
            let (running, read) = (Arc::clone(&running), Arc::clone(&read));
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while running.load(Ordering::Relaxed) {
                    match http.get(&url).send().await {
                        Ok(answer) if answer.status() == 200 => drop(answer.bytes().await),
                        Ok(answer) => failures.push(answer.status().to_string()),
                        Err(error) => failures.push(format!("{error:?}")),
                    }
                    read.fetch_add(1, Ordering::Relaxed);
                    // Below the rate limit, which these readers share.
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                failures
            })
        })
        .collect();
    stack.kill("api-00").await;
    stack.control(&["scale", "api=4"]).await;
    stack.control(&["scale", "api=2"]).await;
    running.store(false, Ordering::Relaxed);
    for reader in readers {
        let failures = reader.await.unwrap();
        assert!(failures.is_empty(), "{failures:?}");
    }
    assert!(
        read.load(Ordering::Relaxed) >= 50,
        "too few reads to say anything"
    );
}

#[tokio::test]
async fn nothing_is_lost_when_a_worker_dies_redis_forgets_and_the_model_restarts() {
    let stack = Stack::get().await;
    let cleo = Person::join(&stack, "cleo").await;
    let mut posts = Vec::new();
    for number in 0..24 {
        let post = cleo
            .post(
                &format!("Thought number {number} of a long day"),
                "e2e-loss",
            )
            .await;
        posts.push(post["id"].as_i64().unwrap());
        match number {
            6 => stack.kill("worker-00").await,
            12 => stack.flush_redis().await,
            18 => drop(stack.control(&["restart", "llm"]).await),
            _ => {}
        }
    }
    for id in posts {
        let url = format!("{}/api/posts/{id}", stack.url);
        eventually(
            &format!("the verdict on post {id}"),
            2 * VERDICT,
            async || json_of(&stack.http, &url).await["analysis"]["status"] == "done",
        )
        .await;
    }
}
