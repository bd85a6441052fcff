//! A connection that can fail: a proxy on loopback before a real service, which a test holds up or cuts off.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use secrecy::ExposeSecret as _;

use crate::config::DatabaseConfig;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    Silent,
    Cut,
    Ended,
}

struct State {
    mode: Mode,
    /// Both sides of every connection.
    streams: Vec<TcpStream>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    /// Stands before a database; answers the way to it through the proxy.
    ///
    /// # Panics
    /// When the database's address has no port, or there is none left.
    #[must_use]
    pub fn before(database: &DatabaseConfig) -> (Self, DatabaseConfig) {
        let mut url = url::Url::parse(database.database_url.expose_secret()).expect("a URL");
        let port = url.port().expect("a port");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                mode: Mode::Open,
                streams: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, port, &accepting));
        url.set_port(Some(address.port())).expect("a port");
        let way = DatabaseConfig {
            database_url: url.to_string().into(),
            ..database.clone()
        };
        (Self { shared, address }, way)
    }

    /// Lets nothing through and says nothing of it, like a machine that has vanished.
    pub fn silence(&self) {
        self.turn(Mode::Silent);
    }

    /// Ends every connection, and each new one at once.
    pub fn cut(&self) {
        self.turn(Mode::Cut);
    }

    /// Lets everything through again, what has waited too.
    pub fn open(&self) {
        self.turn(Mode::Open);
    }

    fn turn(&self, mode: Mode) {
        let mut state = self.shared.state();
        state.mode = mode;
        if matches!(mode, Mode::Cut | Mode::Ended) {
            for stream in state.streams.drain(..) {
                // It may have ended by itself.
                let _gone = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.turn(Mode::Ended);
        // The listener's thread looks up.
        let _woken = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, port: u16, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        let mut state = shared.state();
        match state.mode {
            Mode::Ended => return,
            Mode::Cut => continue,
            Mode::Open | Mode::Silent => {}
        }
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
            continue;
        };
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (from, to) = (copy_of(from), copy_of(to));
            let shared = Arc::clone(shared);
            thread::spawn(move || pass_on(from, to, &shared));
        }
        state.streams.extend([client, server]);
    }
}

fn copy_of(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a file descriptor")
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut bytes = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        let state = shared
            .changed
            .wait_while(shared.state(), |state| state.mode == Mode::Silent)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _gone = to.shutdown(Shutdown::Both);
}
