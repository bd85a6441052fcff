//! Log lines on their way to standard output: gathered, and written together by a thread of their own. What a line says is
//! `bunyan.rs`' matter.

use std::{
    io::{self, Write as _},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long a line may wait to be written with others.
const WAIT: Duration = Duration::from_millis(100);
/// So many bytes are written without waiting longer: what a pipe holds.
const ENOUGH: usize = 64 << 10;
/// With so many bytes waiting, whoever adds one more waits as well: a reader that does not keep up slows the program down
/// and does not fill its memory.
const TOO_MUCH: usize = 4 << 20;

/// Where lines gather to be written together by a thread of their own: a system call for each was a fifteenth of a cached
/// read, and whoever reads the other end of the pipe may take their time. Warnings and errors wait for nothing, and take
/// along what came before them.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Gathering>);

type Out = dyn Fn(&[u8]) -> io::Result<()> + Send + Sync;

struct Gathering {
    lines: Mutex<Vec<u8>>,
    more: Condvar,
    /// Held while something is written, so that lines stay in their order.
    writing: Mutex<()>,
    out: Box<Out>,
}

impl Lines {
    /// Lines go to standard output, at the latest [`WAIT`] after they were added.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn to_stdout() -> io::Result<Self> {
        let lines = Self::to(|bytes| {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        });
        let background = lines.clone();
        thread::Builder::new().name("log".into()).spawn(move || {
            loop {
                background.0.wait();
                background.flush();
            }
        })?;
        Ok(lines)
    }

    pub(crate) fn to(out: impl Fn(&[u8]) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Gathering {
            lines: Mutex::default(),
            more: Condvar::new(),
            writing: Mutex::default(),
            out: Box::new(out),
        }))
    }

    /// Adds a line, which ends with a line break; an urgent one is written before this returns.
    pub(crate) fn add(&self, line: &str, urgent: bool) {
        let gathered = {
            let mut lines = self.0.held();
            let (before, after) = (lines.len(), lines.len() + line.len());
            lines.extend_from_slice(line.as_bytes());
            if before == 0 || (before < ENOUGH && after >= ENOUGH) {
                self.0.more.notify_one();
            }
            after
        };
        if urgent || gathered >= TOO_MUCH {
            self.flush();
        }
    }

    /// Writes what has gathered.
    pub(crate) fn flush(&self) {
        let _in_order = self
            .0
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Others may add lines while these are written.
        let lines = std::mem::take(&mut *self.0.held());
        // A log that cannot be written has nowhere to say so.
        let _lost = (self.0.out)(&lines);
    }
}

impl Gathering {
    fn held(&self) -> MutexGuard<'_, Vec<u8>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until there are lines, and then until there are enough of them or [`WAIT`] is over.
    fn wait(&self) {
        let lines = self
            .more
            .wait_while(self.held(), |lines| lines.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let _enough = self
            .more
            .wait_timeout_while(lines, WAIT, |lines| lines.len() < ENOUGH)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_waits_for_nothing_and_takes_along_what_came_before() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&written);
        let lines = Lines::to(move |bytes| {
            out.lock().unwrap().push(bytes.to_vec());
            Ok(())
        });
        lines.add("first\n", false);
        assert!(written.lock().unwrap().is_empty());
        lines.add("second\n", true);
        assert_eq!(*written.lock().unwrap(), [b"first\nsecond\n".to_vec()]);
    }
}
