//! One trace from the request that writes a post to its verdict, over the queue and the call of the model.

use domain::{
    posts::{self, NewPost, PostText},
    testing::{self, PrivateRedis, posts as given},
};
use telemetry::trace::{
    self,
    testing::{Finished, keep},
};
use tracing::Instrument as _;

use crate::{llm::Mood, stack::Stack};

/// A request's id whose trace is kept, whatever the share.
fn chosen() -> String {
    format!("{:016x}0000000000000001", rand::random::<u64>())
}

/// Writes a post as the API does, within a request's span.
async fn post(stack: &Stack, text: &str, request_id: &str) {
    let new = NewPost {
        text: PostText::parse(text, 500).unwrap(),
        reply_to: None,
        request_id: request_id.to_owned(),
    };
    let request = trace::begin(
        request_id,
        || tracing::info_span!(target: "api", "request", otel.kind = "server", request_id),
    );
    let written = posts::create(&stack.ctx, &stack.author, new);
    written.instrument(request).await.unwrap();
}

fn named<'a>(spans: &'a [Finished], name: &str) -> &'a Finished {
    let found = spans.iter().find(|span| span.name.starts_with(name));
    found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

/// The span of this name that is part of `parent`.
fn within<'a>(spans: &'a [Finished], parent: &Finished, name: &str) -> &'a Finished {
    let mut parts = spans.iter().filter(|span| span.parent == parent.id);
    let found = parts.find(|span| span.name.starts_with(name));
    found.unwrap_or_else(|| panic!("no {name} within {} in {spans:#?}", parent.name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_one_trace_from_its_request_to_its_verdict() {
    let kept = keep();
    let stack = Stack::start(Mood::Well).await;
    let _worker = stack.worker();
    let (id, text) = (chosen(), "nobody outside reads these words");
    post(&stack, text, &id).await;
    stack.judged(1).await;
    testing::eventually("the job's span to end", async || {
        kept.of(&id).iter().any(|span| span.name == "analyze")
    })
    .await;

    let spans = kept.of(&id);
    let request = named(&spans, "request");
    let write = within(&spans, request, "posts.write");
    assert_eq!(write.fields["callers"], "1");
    let insert = within(&spans, write, "INSERT INTO posts");
    assert_eq!(insert.fields["db.system.name"], "postgresql");
    within(&spans, write, "EVALSHA feed");
    within(&spans, write, "EVALSHA analyze");

    let job = within(&spans, request, "analyze");
    assert_eq!((&*job.kind, &*job.fields["outcome"]), ("Consumer", "done"));
    assert_eq!(job.fields["request_id"], id);
    let claim = within(&spans, job, "analysis.claim");
    within(&spans, claim, "UPDATE post_analysis");
    let call = within(&spans, job, "POST /v1/analyze");
    assert_eq!(call.kind, "Client");
    assert_eq!(call.fields["http.response.status_code"], "200");
    assert_eq!(
        stack.llm.traceparents(),
        [format!("00-{id}-{}-01", call.id)],
        "the model's side goes on from the call"
    );
    let finish = within(&spans, job, "analysis.finish");
    within(&spans, finish, "UPDATE post_analysis");
    within(&spans, finish, "PUBLISH live");

    let ids: Vec<_> = spans.iter().map(|span| &span.id).collect();
    let roots = spans.iter().filter(|span| !ids.contains(&&span.parent));
    assert_eq!(roots.count(), 1, "{spans:#?}");
    assert!(!format!("{spans:?}").contains(text));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_whose_hint_was_lost_is_still_in_its_requests_trace() {
    let kept = keep();
    let redis = PrivateRedis::start();
    let stack = Stack::start_with(Mood::Well, redis.config.clone()).await;
    let id = chosen();
    post(&stack, "lost and found", &id).await;
    redis.flush();
    given::make_due(&stack.ctx).await;
    let _worker = stack.worker();
    stack.judged(1).await;
    testing::eventually("the job's span to end", async || {
        kept.of(&id).iter().any(|span| span.name == "analyze")
    })
    .await;
    let spans = kept.of(&id);
    let job = named(&spans, "analyze");
    assert_eq!(
        job.parent, "0000000000000000",
        "nobody knows the request's span"
    );
    within(&spans, job, "analysis.finish");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_share_a_statement_each_have_their_wait_and_a_link() {
    let kept = keep();
    let stack = Stack::start(Mood::Well).await;
    let ids = [chosen(), chosen(), chosen(), chosen()];
    let posts = ids.each_ref().map(|id| post(&stack, "together", id));
    let [first, second, third, fourth] = posts;
    tokio::join!(first, second, third, fourth);
    let traces: Vec<_> = ids.iter().map(|id| kept.of(id)).collect();
    let mut links = 0;
    for spans in &traces {
        let wait = named(spans, "posts.write");
        let insert = spans.iter().find(|span| span.parent == wait.id);
        match &wait.links[..] {
            [] => assert!(insert.is_some(), "{spans:#?}"),
            [leader] => {
                assert!(insert.is_none() && ids.contains(leader), "{spans:#?}");
                links += 1;
            }
            more => panic!("{more:?}"),
        }
    }
    assert!(links > 0, "none waited for another's");
}
