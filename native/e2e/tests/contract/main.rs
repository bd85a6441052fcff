//! The native contract, asked over HTTP of everybody who claims to keep it: Linnet, and the Node baseline that it is
//! measured against. Nothing here knows whom it asks. How it is asked is in `asking.rs`, what the answers must look like
//! in `shapes.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests have nobody to report to but their own output"
)]

mod accounts;
mod asking;
mod feed;
mod posts;
mod shapes;

use asking::Service;
use e2e::{Stack, rival::Rival};

#[tokio::test]
async fn linnet_keeps_the_contract() {
    let stack = Stack::get().await;
    let mut urls = vec![stack.url.clone()];
    urls.extend(stack.replicas("API"));
    contract(&urls).await;
}

#[tokio::test]
async fn the_node_baseline_keeps_the_contract() {
    let stack = Stack::get().await;
    let Some(rival) = Rival::start(&stack.http, 2).await else {
        return;
    };
    contract(&rival.urls).await;
    rival.stop().await;
}

/// Asks everything of the service behind these addresses, which are replicas of one another. What is written goes to the
/// first unless it matters where.
async fn contract(base_urls: &[String]) {
    let service = Service::at(base_urls);
    let ada = accounts::signing_up(&service).await;
    let ben = service.join("ben").await;
    accounts::logging_in(&service, &ada).await;
    accounts::looking_up(&service, &ada, &ben).await;
    posts::writing(&service, &ada).await;
    posts::changing_and_deleting(&service, &ada, &ben).await;
    posts::generating(&service).await;
    posts::being_judged(&service, &ada).await;
    feed::every_replica_shows_a_write_at_once(&service, &ada).await;
    feed::it_goes_page_by_page(&service, &ben).await;
    let ada = accounts::changing(&service, ada, &ben).await;
    accounts::deleting(&service, &ada, &ben).await;
    accounts::logging_out(&service, &ben).await;
}
