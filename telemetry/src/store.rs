//! The way of log records to a long-term store: which of them are kept, and the bounded buffer between those who log and
//! the one who writes. Nobody who logs waits here. Where the records go is not known here (`domain::logs`).

use std::{
    cell::Cell,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use clap::ValueEnum;
use prometheus::IntCounter;
use tokio::sync::oneshot;

/// The most records that wait to be written; eight seconds of 2,000 a second.
const MOST_RECORDS: usize = 16 << 10;
/// The most bytes of them.
const MOST_BYTES: usize = 16 << 20;
/// An empty id as JSON, as the jobs of posts have it that no request wrote.
const NO_ID: &str = "\"\"";
/// How long the end of a program waits for what has not been written yet.
const LAST_WORDS: Duration = Duration::from_secs(5);

thread_local! {
    /// Whether what this thread logs is left out of the store.
    static LEFT_OUT: Cell<bool> = const { Cell::new(false) };
}

/// Where log records are kept beyond standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogStore {
    /// Nowhere.
    #[default]
    Off,
    /// In the database.
    Postgres,
}

/// The options of programs that can store their log.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Log store")]
pub struct LogStoreConfig {
    /// Whether log records are kept in PostgreSQL too, for `api logs` to read: off or postgres.
    #[arg(long, env, value_enum, default_value_t, hide_possible_values = true)]
    pub log_store: LogStore,
    /// The share of requests whose records are stored, from 0 to 1; of a request all or none. Warnings, errors, the ends of
    /// requests answered with 500 and above, and what belongs to no request are always stored.
    #[arg(long, env, default_value_t = 0.1, value_parser = crate::share::parse)]
    pub log_store_sample: f64,
    /// How many whole days records are stored. The shortest time that any of the programs is told counts.
    #[arg(long, env, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub log_store_days: u16,
}

impl LogStoreConfig {
    /// The two ends of the buffer: for [`crate::init_serving`], and for whoever writes. Nothing when nothing is stored.
    ///
    /// # Errors
    /// Never: the counter's name is sound.
    pub fn buffer(&self) -> anyhow::Result<Option<(Keep, Buffer)>> {
        if self.log_store == LogStore::Off {
            return Ok(None);
        }
        let (sender, receiver) = mpsc::sync_channel(MOST_RECORDS);
        let bytes = Arc::new(AtomicUsize::new(0));
        let dropped = IntCounter::new(
            "log_records_dropped_total",
            "Log records that were to be stored and were not, because the buffer was full or the store refused them",
        )?;
        let keep = Keep {
            records: sender,
            bytes: Arc::clone(&bytes),
            dropped: dropped.clone(),
            share: Share(self.log_store_sample),
        };
        let buffer = Buffer {
            records: receiver,
            bytes,
            dropped,
        };
        Ok(Some((keep, buffer)))
    }
}

/// The end of the buffer that is filled.
#[derive(Clone)]
pub struct Keep {
    records: SyncSender<String>,
    bytes: Arc<AtomicUsize>,
    dropped: IntCounter,
    share: Share,
}

impl Keep {
    /// Whether a record is to be stored. `level` is bunyan's; the others are the values of its fields as JSON.
    pub(crate) fn wants<'a>(
        &self,
        level: u8,
        request_id: impl FnOnce() -> Option<&'a str>,
        status: impl FnOnce() -> Option<&'a str>,
    ) -> bool {
        if LEFT_OUT.get() {
            return false;
        }
        let of_a_request = |id: &&str| *id != NO_ID;
        level >= 40
            || request_id()
                .filter(of_a_request)
                .is_none_or(|id| self.share.has(id))
            || status().is_some_and(|status| status.parse().is_ok_and(|status: u16| status >= 500))
    }

    /// Puts a line into the buffer, or counts it when there is no room. Never waits.
    pub(crate) fn offer(&self, line: String) {
        let length = line.len();
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        if before + length > MOST_BYTES || self.records.try_send(line).is_err() {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            self.dropped.inc();
        }
    }
}

/// A share of all requests, chosen by their ids.
#[derive(Clone, Copy)]
struct Share(f64);

impl Share {
    /// The answer is the same in every program and version, so that a request is stored whole or not at all wherever it
    /// leaves records: FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), whose upper bits MurmurHash3's last steps
    /// then make depend on every byte.
    fn has(self, id: &str) -> bool {
        if self.0 >= 1.0 {
            return true;
        }
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in id.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^= hash >> 33;
        // As a number from 0 to 1.
        hash as f64 / (u64::MAX as f64) < self.0
    }
}

/// The end of the buffer that is emptied. As an iterator it gives the bunyan lines that wait now, each with its line break,
/// the oldest first; after `None` there may be more.
pub struct Buffer {
    records: Receiver<String>,
    bytes: Arc<AtomicUsize>,
    dropped: IntCounter,
}

impl Iterator for Buffer {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let line = self.records.try_recv().ok()?;
        self.bytes.fetch_sub(line.len(), Ordering::Relaxed);
        Some(line)
    }
}

/// Comes when the writing is to end.
pub type Stop = oneshot::Receiver<()>;

impl Buffer {
    /// `log_records_dropped_total`, not registered yet; whoever writes counts here what the store refuses.
    #[must_use]
    pub fn dropped(&self) -> IntCounter {
        self.dropped.clone()
    }

    /// Has `write` empty the buffer, on a thread and in a runtime of its own: it takes no time from those who serve, and
    /// outlives them. What is logged on that thread is not stored, or the store would feed itself.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn hand_to<W: Future<Output = ()>>(
        self,
        write: impl FnOnce(Self, Stop) -> W + Send + 'static,
    ) -> io::Result<Writing> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, told) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        thread::Builder::new()
            .name("log-store".into())
            .spawn(move || {
                LEFT_OUT.set(true);
                let writing = AssertUnwindSafe(|| runtime.block_on(write(self, told)));
                if catch_unwind(writing).is_err() {
                    return tracing::error!(
                        "the log store has failed; no record is stored until this program is started anew"
                    );
                }
                // Nobody may be waiting.
                let _unheard = ended.send(());
            })?;
        Ok(Writing { stop, end })
    }
}

/// The writing under way. Dropped, it ends by itself and nobody waits for that.
#[must_use = "what was logged last is stored by `finish`"]
pub struct Writing {
    stop: oneshot::Sender<()>,
    end: oneshot::Receiver<()>,
}

impl Writing {
    /// Has everything written that waits, for a few seconds at most.
    pub async fn finish(self) {
        drop(self.stop);
        // A writer that failed has said so itself.
        if tokio::time::timeout(LAST_WORDS, self.end).await.is_err() {
            tracing::warn!("the log store does not answer; what was logged last is not in it");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::bunyan::Bunyan;

    fn buffer(sample: f64) -> (Keep, Buffer) {
        let config = LogStoreConfig {
            log_store: LogStore::Postgres,
            log_store_sample: sample,
            log_store_days: 1,
        };
        config.buffer().unwrap().unwrap()
    }

    /// What is stored of what `work` logs.
    fn stored(sample: f64, work: impl FnOnce()) -> Vec<Value> {
        let (keep, buffer) = buffer(sample);
        let layer = Bunyan::new("a service", None, Some(keep));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        buffer
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect()
    }

    fn request(id: &str, status: u16) {
        let span = tracing::info_span!(
            "request",
            request_id = id,
            http.status = tracing::field::Empty
        );
        let _in_request = span.enter();
        tracing::info!("a step");
        // It is known at the end only.
        span.record("http.status", status);
    }

    #[test]
    fn nothing_is_set_up_for_a_store_that_is_off() {
        let config = LogStoreConfig {
            log_store: LogStore::Off,
            log_store_sample: 1.0,
            log_store_days: 1,
        };
        assert!(config.buffer().unwrap().is_none());
    }

    #[test]
    fn a_request_is_stored_whole_or_not_at_all() {
        let lines = stored(0.25, || {
            for n in 0..400 {
                request(&format!("r-{n}"), 200);
            }
        });
        let mut ids: Vec<_> = lines
            .iter()
            .map(|line| line["request_id"].as_str())
            .collect();
        assert!(lines.iter().all(|line| line["request_id"].is_string()));
        let records = ids.len();
        ids.dedup();
        assert_eq!(records, ids.len() * 2, "the step and the end of each");
        assert!((60..140).contains(&ids.len()), "{} of 400", ids.len());
        // Ids that differ in one character at the end are told apart as well as any.
        let quarter = Share(0.25);
        let count = (0..10_000)
            .filter(|n| quarter.has(&format!("{n:032x}")))
            .count();
        assert!((2_300..2_700).contains(&count), "{count}");
        // Written down, so that no later version chooses others: replicas of two versions share requests.
        let chosen: Vec<_> = (0..12)
            .filter(|n| quarter.has(&format!("\"r-{n}\"")))
            .collect();
        assert_eq!(chosen, [3, 6, 9]);
    }

    #[test]
    fn what_went_wrong_is_always_stored_and_so_is_what_belongs_to_no_request() {
        let lines = stored(0.0, || {
            request("fine", 200);
            request("its fault", 404);
            request("our fault", 503);
            request("", 200);
            tracing::info!("a start");
            let span = tracing::info_span!("request", request_id = "odd", http.status = 200);
            let _in_request = span.enter();
            tracing::warn!("odd");
            tracing::error!("wrong");
        });
        let said: Vec<_> = lines
            .iter()
            .map(|line| (line["request_id"].as_str(), line["level"].as_u64()))
            .collect();
        assert_eq!(
            said,
            [
                (Some("our fault"), Some(30)),
                (Some(""), Some(30)),
                (Some(""), Some(30)),
                (None, Some(30)),
                (Some("odd"), Some(40)),
                (Some("odd"), Some(50)),
            ]
        );
    }

    #[test]
    fn a_full_buffer_drops_what_comes_last_and_counts_it() {
        let (keep, mut buffer) = buffer(1.0);
        for n in 0..MOST_RECORDS + 3 {
            keep.offer(format!("{n}\n"));
        }
        assert_eq!(buffer.dropped().get(), 3);
        assert_eq!(buffer.next().as_deref(), Some("0\n"));
        keep.offer("there is room again\n".into());
        assert_eq!(buffer.dropped().get(), 3);
        assert_eq!(buffer.by_ref().count(), MOST_RECORDS);

        let large = "x".repeat(MOST_BYTES / 4 + 1);
        for _ in 0..4 {
            keep.offer(large.clone());
        }
        assert_eq!(buffer.dropped().get(), 4, "the bytes count too");
        assert_eq!(buffer.by_ref().count(), 3);
        keep.offer(large);
        assert_eq!(buffer.dropped().get(), 4);
    }

    #[tokio::test]
    async fn a_writer_that_panics_is_no_hindrance_to_who_logs_or_ends() {
        let (keep, buffer) = buffer(1.0);
        let writing = buffer
            .hand_to(|_, _| async { panic!("a fault of the writer's") })
            .unwrap();
        writing.finish().await;
        keep.offer("nobody takes it\n".into());
        assert_eq!(keep.dropped.get(), 1);
    }

    #[tokio::test]
    async fn who_writes_has_a_thread_whose_own_records_are_not_stored() {
        let (keep, buffer) = buffer(1.0);
        let (tell, told) = mpsc::channel();
        keep.offer("first\n".into());
        let own = keep.clone();
        let writing = buffer
            .hand_to(move |mut buffer, stop| async move {
                tell.send(own.wants(50, || None, || None)).unwrap();
                let _stopped = stop.await;
                tell.send(buffer.next().as_deref() == Some("first\n"))
                    .unwrap();
            })
            .unwrap();
        assert!(!told.recv().unwrap(), "an error of the writer's own");
        assert!(keep.wants(50, || None, || None), "anybody else's");
        writing.finish().await;
        assert!(told.recv().unwrap(), "what waited was there at the end");
    }
}
