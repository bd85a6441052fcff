//! One trace from NGINX to the verdict, as a real collector receives it.

use std::time::Duration;

use e2e::{Person, Stack, eventually, spans::Trace};

/// The collector's file; without one there is nothing to look at, and `make test` says so.
fn received() -> Option<String> {
    std::env::var("LINNET_SPANS").ok()
}

#[tokio::test]
async fn a_post_is_one_trace_from_the_edge_to_its_verdict() {
    let Some(file) = received() else { return };
    let stack = Stack::get().await;
    let ada = Person::join(&stack, "tracy").await;
    let nanoseconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let id = format!("{:032x}", nanoseconds.as_nanos());
    // New words, or an equal text's verdict would do.
    let text = format!("What a lovely secret {id} I have, and such a fine day");
    ada.post(&text, &id).await;
    eventually(
        "the trace to be whole",
        Duration::from_secs(120),
        async || {
            let trace = Trace::read(&file, &id);
            let ended = |name: &str| trace.spans.iter().any(|span| span.name == name);
            // llm-service and the worker deliver at times of their own, and both have a span of this name.
            let answered = trace
                .spans
                .iter()
                .any(|span| span.service == "llm-service" && span.name == "POST /v1/analyze");
            ended("analyze") && ended("POST /api/posts") && answered
        },
    )
    .await;

    let trace = Trace::read(&file, &id);
    let tree = trace.tree();
    std::fs::write(format!("{file}.tree"), &tree).unwrap();
    let [request] = trace.roots()[..] else {
        panic!("one root and not\n{tree}");
    };
    assert_eq!(
        (&*request.name, &*request.kind),
        ("POST /api/posts", "server")
    );
    assert_eq!((&*request.service, &*request.parent), ("api", ""));
    assert_eq!(request.fields["request_id"], id);
    assert_eq!(request.fields["http.response.status_code"], 201);
    assert_eq!(request.fields["user.id"], ada.id);

    // The API: the login, the post and its hint.
    trace.part(request, "api", "EVALSHA rate");
    let session = trace.part(request, "api", "sessions.find");
    trace.part(session, "api", "SELECT");
    let write = trace.part(request, "api", "posts.write");
    let insert = trace.part(write, "api", "INSERT INTO posts");
    assert_eq!(insert.fields["db.system.name"], "postgresql");
    trace.part(write, "api", "EVALSHA feed");
    trace.part(write, "api", "EVALSHA analyze");

    // The worker: the job, which the hint carried the trace to.
    let job = trace.part(request, "worker", "analyze");
    assert_eq!(
        (&*job.kind, &job.fields["outcome"]),
        ("consumer", &"done".into())
    );
    let claim = trace.part(job, "worker", "analysis.claim");
    trace.part(claim, "worker", "UPDATE post_analysis");
    let call = trace.part(job, "worker", "POST /v1/analyze");
    assert_eq!(call.kind, "client");

    // llm-service, by way of NGINX's internal listener.
    let asked = trace.part(call, "llm-service", "POST /v1/analyze");
    assert_eq!(asked.kind, "server");
    trace.part(asked, "llm-service", "llm.queue");
    trace.part(asked, "llm-service", "llm.read");

    // The verdict.
    let finish = trace.part(job, "worker", "analysis.finish");
    trace.part(finish, "worker", "UPDATE post_analysis");
    trace.part(finish, "worker", "PUBLISH live");

    for words in ["lovely secret", "a long enough password"] {
        assert!(!trace.text.contains(words), "{words} in\n{}", trace.text);
    }
}

#[tokio::test]
async fn nobody_outside_says_which_trace_a_request_belongs_to() {
    let Some(file) = received() else { return };
    let stack = Stack::get().await;
    let nanoseconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let (id, foreign) = (
        format!("{:032x}", nanoseconds.as_nanos()),
        format!("{:032x}", nanoseconds.as_nanos() + 1),
    );
    let answer = stack
        .http
        .get(format!("{}/api/posts?limit=1&token=hidden", stack.url))
        .header("x-request-id", &id)
        .header("traceparent", format!("00-{foreign}-00f067aa0ba902b7-01"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    eventually("the request's trace", Duration::from_secs(30), async || {
        !Trace::read(&file, &id).roots().is_empty()
    })
    .await;
    let trace = Trace::read(&file, &id);
    assert_eq!(trace.roots()[0].parent, "");
    assert!(!trace.text.contains("hidden"), "{}", trace.text);
    assert!(Trace::read(&file, &foreign).spans.is_empty());
}
