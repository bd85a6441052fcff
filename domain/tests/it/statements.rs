//! Counts the SQL statements of a test, and hears the warnings of the log store: what is said on the test's own thread, which is the only one that a
//! `#[tokio::test]` without a flavour runs on.

use std::{
    fmt::Debug,
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

/// A second subscriber that stays. With a single one, tracing asks the subscriber of whatever thread comes by first
/// whether anybody wants an event, and the thread of another test has none: the event would be lost to all.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Watcher(Arc::default())));

/// What was said to PostgreSQL since [`Statements::watch`].
pub struct Statements {
    seen: Arc<Mutex<Vec<(Level, String)>>>,
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
        let of_it = seen.drain(..).filter(|(_, sql)| sql.contains(part));
        of_it.count()
    }

    /// All that was said in warnings since the last call.
    pub fn warnings(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap();
        let warnings = seen.drain(..).filter(|(level, _)| *level == Level::WARN);
        warnings.map(|(_, text)| text).collect()
    }
}

struct Watcher(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        matches!(metadata.target(), "sqlx::query" | "domain::logs")
    }

    fn event(&self, event: &Event<'_>) {
        let mut sql = Sql(String::new());
        event.record(&mut sql);
        let level = *event.metadata().level();
        self.0.lock().unwrap().push((level, sql.0));
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
        // All of the others in a warning are figures.
        if matches!(
            field.name(),
            "summary" | "db.statement" | "slow_threshold" | "message" | "records"
        ) {
            self.0.push_str(&format!("{value:?} "));
        }
    }
}
