//! People are signed up once, whatever happens in between.

use std::sync::atomic::Ordering;

use loadtest::accounts::{join, reach};

use crate::server::Server;

#[tokio::test]
async fn people_of_an_earlier_run_are_taken_again_and_only_those_who_are_missing_sign_up() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new-folder/accounts.json");
    let three = join(&server.target, 3, Some(&file)).await.unwrap();
    assert_eq!(three.len(), 3);
    let five = join(&server.target, 5, Some(&file)).await.unwrap();
    assert_eq!(five[..3], three);
    assert_eq!(server.seen.count("POST /api/user/signup"), 5);
    assert_eq!(server.seen.count("POST /api/auth/login"), 5);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o077, 0, "there is a password in it");
}

#[tokio::test]
async fn a_server_that_forgot_everybody_has_them_sign_up_anew() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.json");
    join(&server.target, 2, Some(&file)).await.unwrap();
    server.seen.people.lock().unwrap().clear();
    let again = join(&server.target, 2, Some(&file)).await.unwrap();
    assert_eq!(again.len(), 2);
    assert_eq!(server.seen.people.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn another_server_has_other_people() {
    let (one, other) = (Server::start().await, Server::start().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.json");
    join(&one.target, 1, Some(&file)).await.unwrap();
    join(&other.target, 1, Some(&file)).await.unwrap();
    assert_eq!(other.seen.count("POST /api/user/signup"), 1);
}

#[tokio::test]
async fn a_rate_limit_teaches_how_to_start_the_stack() {
    let server = Server::start().await;
    server.seen.failing.store(429, Ordering::Relaxed);
    let said = join(&server.target, 1, None).await.unwrap_err().to_string();
    assert!(said.contains("RATE_LIMITER=false make up"), "{said}");
}

#[tokio::test]
async fn nobody_there_names_the_address_and_how_to_start() {
    let server = Server::start().await;
    let target = server.target.clone();
    reach(&target, std::time::Duration::from_secs(10))
        .await
        .unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = loadtest::engine::Target::parse(&format!("http://{free}"), false).unwrap();
    let said = reach(&nobody, std::time::Duration::from_secs(10))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        said.contains(&free.to_string()) && said.contains("make up"),
        "{said}"
    );
}
