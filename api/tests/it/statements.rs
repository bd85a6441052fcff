//! Counts the SQL statements of a request, by the request's id: those that sqlx reports within the request's span,
//! whatever thread serves it.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt::Debug,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Statements by the id of the request that they were made for.
static COUNTS: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);
/// The request that a span belongs to.
static REQUESTS: LazyLock<Mutex<HashMap<u64, String>>> = LazyLock::new(Mutex::default);
static SPANS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Starts to count, in the whole process. The replicas of other tests are counted too, under their own ids.
pub fn watch() {
    // An error means that another test has done so.
    let _done_already = tracing::subscriber::set_global_default(Watcher);
}

/// How many statements the request took.
pub fn of(request: &str) -> usize {
    let counts = COUNTS.lock().unwrap();
    counts.get(request).copied().unwrap_or(0)
}

struct Watcher;

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query" || metadata.is_span() && metadata.name() == "request"
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut id = Named(String::new());
        span.record(&mut id);
        let number = SPANS.fetch_add(1, Ordering::Relaxed);
        REQUESTS.lock().unwrap().insert(number, id.0);
        span::Id::from_u64(number)
    }

    fn event(&self, _: &Event<'_>) {
        let within = ENTERED.with_borrow(|entered| entered.last().copied());
        let request = within.and_then(|span| REQUESTS.lock().unwrap().get(&span).cloned());
        if let Some(request) = request {
            *COUNTS.lock().unwrap().entry(request).or_default() += 1;
        }
    }

    fn enter(&self, span: &span::Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &span::Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(at) = entered.iter().rposition(|id| *id == span.into_u64()) {
                entered.remove(at);
            }
        });
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
}

/// The request's id in its span.
struct Named(String);

impl Visit for Named {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "request_id" && self.0.is_empty() {
            self.0 = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "request_id" {
            value.clone_into(&mut self.0);
        }
    }
}
