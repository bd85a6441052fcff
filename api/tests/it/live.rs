//! Live streams: who hears what, over Server-Sent Events and WebSockets, from whichever replica.
//!
//! That somebody does not hear something is shown by what they hear next: events of one kind come in their order.

mod concerned;
mod ends;
mod limits;
mod posts;
mod reader;
mod resumed;
mod websocket;

use std::time::Duration;

use domain::{
    ids::{PostId, UserId},
    live::{self, Arrival, Event},
    testing::eventually,
};

use crate::{app::TestApp, client::Client};

/// Replicas that hear each other.
async fn replicas(count: usize) -> TestApp {
    hearing(TestApp::start(count).await, count).await
}

async fn hearing(app: TestApp, count: usize) -> TestApp {
    for replica in 0..count {
        let replica = app.client(replica);
        eventually("the replica to hear", async || {
            replica.metric("live_hearing").await == 1.0
        })
        .await;
    }
    app
}

impl TestApp {
    /// Says that something happened, as another replica or a worker does.
    async fn publish(&self, events: &[Event]) {
        live::publish(&self.worker(), events).await;
    }

    /// Says that posts have reached home timelines.
    async fn fan_out(&self, posts: &[(i64, &Client)]) {
        let arrival = |(post, author): &(i64, &Client)| Arrival {
            post: PostId(*post),
            author: UserId(author.id),
            answered: None,
            original: None,
        };
        let posts = posts.iter().map(arrival).collect();
        self.publish(&[Event::Posts { posts }]).await;
    }

    /// Says how many unread notifications somebody has; a harmless event to tell the time by.
    async fn unread(&self, person: &Client, unread: i64) {
        let user = UserId(person.id);
        self.publish(&[Event::Notification {
            user,
            id: None,
            unread,
        }])
        .await;
    }

    /// `INSERT INTO follows|blocks|mutes`, from one person to another.
    async fn relate(&self, table: &str, from: &Client, to: &Client) {
        let sql = format!("INSERT INTO {table} VALUES ($1, $2)");
        let insert = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(from.id)
            .bind(to.id);
        insert.execute(&self.sql().await).await.unwrap();
    }

    /// Says that what these people see of others has changed.
    async fn relations_changed(&self, people: &[&Client]) {
        let relation = |person: &&Client| Event::Relation {
            viewer: UserId(person.id),
        };
        let events: Vec<Event> = people.iter().map(relation).collect();
        self.publish(&events).await;
    }
}

fn counts(post: i64, likes: i32) -> Event {
    Event::Counts {
        post: PostId(post),
        likes,
        reposts: 2,
        replies: 3,
    }
}

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
