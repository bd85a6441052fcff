//! Spans from a request's first to its last, by way of the subscriber that a program has.

use std::time::Duration;

use actix_web::{
    App, HttpResponse,
    http::header::HeaderName,
    test::{TestRequest, call_service, init_service},
    web,
};
use opentelemetry_sdk::trace::Sampler;
use prometheus::Registry;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{
    SAMPLER, begin,
    testing::{Finished, Kept, SHARE, layered},
};
use crate::http::{REQUEST_ID, Watch};

/// A request's id that is a trace's number, kept whatever the share is.
const CHOSEN: &str = "0af7651916cd43dd0000000000000001";
const NO_PARENT: &str = "0000000000000000";

/// Keeps the spans that this thread makes of chosen traces, until the guard is dropped.
fn kept() -> (Kept, DefaultGuard) {
    let _once = SAMPLER.set(Sampler::TraceIdRatioBased(SHARE));
    let (spans, kept) = layered();
    let subscriber = tracing_subscriber::registry().with(spans);
    (kept, tracing::subscriber::set_default(subscriber))
}

async fn handler() -> HttpResponse {
    tracing::Span::current().record("user.id", 7);
    // As sqlx tells of a statement.
    tracing::debug!(
        target: "sqlx::query",
        summary = "SELECT id FROM posts …",
        db.statement = "\n\nSELECT id FROM posts\n  WHERE id = $1\n",
        rows_affected = 0_u64,
        rows_returned = 3_u64,
        elapsed_secs = 0.25
    );
    let _within = tracing::debug_span!("within", otel.name = "a step").entered();
    tracing::debug!("of no interest to a trace");
    tracing::info!(target: "somebody_elses", "nor is this");
    tracing::warn!("of some");
    HttpResponse::InternalServerError().finish()
}

/// Sends a request with these headers through the middleware.
async fn ask(watch: Watch, path: &str, headers: &[(HeaderName, &str)]) {
    let app = App::new()
        .wrap(watch)
        .route("/posts/{id}", web::get().to(handler))
        .route("/stream", web::get().to(handler))
        .route("/livez", web::get().to(handler));
    let app = init_service(app).await;
    let mut request = TestRequest::get().uri(path);
    for (name, value) in headers {
        request = request.insert_header((name.clone(), *value));
    }
    call_service(&app, request.to_request()).await;
}

fn watch() -> Watch {
    Watch::new(&Registry::new(), &["/stream"]).unwrap()
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

fn named<'a>(spans: &'a [Finished], name: &str) -> &'a Finished {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

#[actix_web::test]
async fn a_request_is_a_trace_with_its_own_number_and_what_happens_within() {
    let (kept, _here) = kept();
    let foreign = "00-11111111111111111111111111111111-2222222222222222-01";
    let headers = [(REQUEST_ID, CHOSEN), (TRACEPARENT, foreign)];
    ask(watch(), "/posts/5?token=secret", &headers).await;
    let spans = kept.of(CHOSEN);
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let request = named(&spans, "GET /posts/{id}");
    assert_eq!(request.parent, NO_PARENT, "nobody outside is believed");
    assert_eq!((&*request.kind, &*request.status), ("Server", "Error"));
    for (field, value) in [
        ("request_id", CHOSEN),
        ("http.request.method", "GET"),
        ("http.route", "/posts/{id}"),
        ("http.response.status_code", "500"),
        ("user.id", "7"),
    ] {
        assert_eq!(request.fields[field], value, "{field}");
    }

    let statement = named(&spans, "SELECT id FROM posts");
    assert_eq!(
        (&*statement.kind, &statement.parent),
        ("Client", &request.id)
    );
    assert_eq!(
        statement.fields["db.query.text"],
        "SELECT id FROM posts WHERE id = $1"
    );
    assert_eq!(statement.fields["db.response.returned_rows"], "3");
    let took = statement.ended.duration_since(statement.began).unwrap();
    assert_eq!(took, Duration::from_millis(250));

    assert_eq!(named(&spans, "a step").parent, request.id);
    assert!(!format!("{spans:?}").contains("secret"));
}

#[actix_web::test]
async fn what_is_not_kept_or_never_traced_leaves_nothing() {
    let (kept, _here) = kept();
    let other = "0af7651916cd43ddffffffffffffffff";
    ask(watch(), "/posts/5", &[(REQUEST_ID, other)]).await;
    assert!(kept.of(other).is_empty());
    for path in ["/stream", "/livez"] {
        ask(watch(), path, &[(REQUEST_ID, CHOSEN)]).await;
    }
    assert!(kept.of(CHOSEN).is_empty());
}

#[actix_web::test]
async fn a_program_behind_others_goes_on_with_their_traces_and_begins_none() {
    let (kept, _here) = kept();
    let inside = || watch().behind_others();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    ask(
        inside(),
        "/posts/5",
        &[(TRACEPARENT, &format!("00-{trace}-00f067aa0ba902b7-01"))],
    )
    .await;
    let spans = kept.of(trace);
    assert_eq!(
        named(&spans, "GET /posts/{id}").parent,
        "00f067aa0ba902b7",
        "whatever share is kept here"
    );
    assert_eq!(spans.len(), 3, "{spans:#?}");

    let unkept = "4bf92f3577b34da6a3ce929d0e0e4737";
    for (header, value) in [
        (REQUEST_ID, CHOSEN.to_owned()),
        (TRACEPARENT, format!("00-{unkept}-00f067aa0ba902b7-00")),
        (TRACEPARENT, "no such thing".to_owned()),
    ] {
        ask(inside(), "/posts/5", &[(header, &value)]).await;
    }
    assert!(kept.of(CHOSEN).is_empty() && kept.of(unkept).is_empty());
}

#[test]
fn whoever_waits_for_anothers_work_is_linked_to_it() {
    let (kept, _here) = kept();
    let other = "1af7651916cd43dd0000000000000001";
    let leader = begin(CHOSEN, || tracing::info_span!("leader"));
    let follower = begin(other, || tracing::info_span!("follower"));
    follower.follows_from(&leader);
    drop((leader, follower));
    assert_eq!(named(&kept.of(other), "follower").links, [CHOSEN]);
}
