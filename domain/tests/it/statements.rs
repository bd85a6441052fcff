//! Counts the SQL statements of a test: those that sqlx reports on the test's own thread, which is the only one that a
//! `#[tokio::test]` without a flavour runs on.

use std::{
    fmt::Debug,
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

/// A second subscriber that stays. With a single one, tracing asks the subscriber of whatever thread comes by first
/// whether anybody wants an event, and the thread of another test has none: the event would be lost to all.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Watcher(Arc::default())));

/// What was said to PostgreSQL since [`Statements::watch`].
pub struct Statements {
    seen: Arc<Mutex<Vec<String>>>,
    _until_dropped: DefaultGuard,
}

impl Statements {
    /// Starts to count.
    pub fn watch() -> Self {
        LazyLock::force(&ANOTHER);
        let seen = Arc::default();
        let watcher = Watcher(Arc::clone(&seen));
        Self {
            seen,
            _until_dropped: tracing::subscriber::set_default(watcher),
        }
    }

    /// How many statements held `part` since the last call.
    pub fn take(&self, part: &str) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.drain(..).filter(|sql| sql.contains(part)).count()
    }
}

struct Watcher(Arc<Mutex<Vec<String>>>);

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &Event<'_>) {
        let mut sql = Sql(String::new());
        event.record(&mut sql);
        self.0.lock().unwrap().push(sql.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The statement's beginning is in one field and, if it is long, the whole of it in another.
struct Sql(String);

impl Visit for Sql {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "summary" | "db.statement") {
            self.0.push_str(&format!("{value:?} "));
        }
    }
}
