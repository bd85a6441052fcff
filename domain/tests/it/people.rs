//! People for tests who can log in, and ears for what is published.

use std::time::Duration;

use domain::{
    Ctx,
    auth::{self, AppEnv, AuthConfig, Password, Session, Tokens},
    config::RedisConfig,
    live::Event,
    users::{self, NewUser, Username},
};
use secrecy::SecretString;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{TcpStream, tcp::OwnedReadHalf},
};

/// What every member's password is.
pub const PASSWORD: &str = "correct horse battery";

pub fn tokens() -> Tokens {
    let config = AuthConfig {
        jwt_secret: None,
        jwt_secret_previous: None,
        app_env: AppEnv::Development,
    };
    Tokens::new(&config).unwrap()
}

/// Somebody who has signed up and logged in.
pub async fn member(ctx: &Ctx, name: &str) -> Session {
    let new = NewUser {
        username: Username::parse(name).unwrap(),
        password: Password::parse(PASSWORD.into()).unwrap(),
    };
    users::sign_up(ctx, new).await.unwrap();
    log_in(ctx, name, "test").await
}

/// One more login of somebody.
pub async fn log_in(ctx: &Ctx, name: &str, user_agent: &str) -> Session {
    let password = SecretString::from(PASSWORD);
    let tokens = tokens();
    let login = auth::login(ctx, &tokens, name, password, user_agent);
    let token = login.await.unwrap().token;
    auth::authenticate(ctx, &tokens, &token).await.unwrap()
}

/// Hears every event of a stack.
pub struct Ears {
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// Its drop would end the connection.
    _speak: tokio::net::tcp::OwnedWriteHalf,
}

impl Ears {
    pub async fn open(config: &RedisConfig) -> Self {
        let address = (config.redis_host.as_str(), config.redis_port);
        let (read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
        let subscribe = format!("SUBSCRIBE {}:live\r\n", config.redis_prefix);
        write.write_all(subscribe.as_bytes()).await.unwrap();
        let mut ears = Self {
            lines: BufReader::new(read).lines(),
            _speak: write,
        };
        while ears.line().await != ":1" {}
        ears
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(10), self.lines.next_line());
        line.await.unwrap().unwrap().unwrap()
    }

    /// The next event.
    pub async fn hear(&mut self) -> Event {
        loop {
            if let Ok(event) = serde_json::from_str(&self.line().await) {
                return event;
            }
        }
    }

    /// The next so many, as text and in the order of the text.
    pub async fn hear_all(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(format!("{:?}", self.hear().await));
        }
        events.sort();
        events
    }
}
