//! `GET /api/posts`: the feed.

use e2e::ids;
use serde_json::json;

use crate::{
    asking::{Account, Service},
    shapes::{is_post, next},
};

/// How many posts it shows unless it is asked for fewer or more.
const PAGE: usize = 50;
/// How often each address is written to and all are looked at.
const ROUNDS: usize = 5;

/// Written at one replica, seen at all of them by whoever asks after the answer.
pub async fn every_replica_shows_a_write_at_once(service: &Service<'_>, ada: &Account) {
    let writers = service.urls.iter().cycle();
    for (round, writer) in writers.take(ROUNDS * service.urls.len()).enumerate() {
        let body = json!({"content": format!("Round {round}")});
        let call = service.post("/api/posts", body).at(writer);
        let made = call.by(&ada.token).gives(201).await;
        let id = &made[0]["id"];
        for reader in service.urls {
            let newest = &service.feed(reader).await[0];
            assert_eq!(&newest["id"], id, "written at {writer}, read at {reader}");
        }
        let path = format!("/api/posts/{id}");
        let text = format!("Round {round}, changed");
        let call = service.put(&path, json!({"content": text})).at(writer);
        call.by(&ada.token).gives(200).await;
        for reader in service.urls {
            let newest = &service.feed(reader).await[0];
            assert_eq!(&newest["id"], id, "{reader}");
            assert_eq!(newest["content"], text, "{writer}, read at {reader}");
        }
        let call = service.delete(&path).at(writer);
        call.by(&ada.token).gives(200).await;
        for reader in service.urls {
            let newest = &service.feed(reader).await[0];
            assert_ne!(&newest["id"], id, "deleted at {writer}, read at {reader}");
        }
    }
}

pub async fn it_goes_page_by_page(service: &Service<'_>, ben: &Account) {
    let mut mine = Vec::new();
    for _ in 0..=PAGE {
        let post = service.write(ben, "Swallows everywhere").await;
        mine.insert(0, post["id"].as_i64().unwrap());
    }
    let first = service.get("/api/posts").answer().await;
    let shown = ids(&first.body);
    assert_eq!(shown, mine[..PAGE], "the newest, newest first, and no more");
    first.body.as_array().unwrap().iter().for_each(is_post);
    assert!(next(&first.headers).is_some());

    let (mut path, mut seen) = ("/api/posts?limit=20".to_owned(), Vec::new());
    while seen.len() < mine.len() {
        let page = service.get(path).answer().await;
        assert_eq!(page.status, 200);
        let shown = ids(&page.body);
        assert!(shown.len() <= 20, "{shown:?}");
        seen.extend(shown);
        match next(&page.headers) {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(seen[..mine.len()], mine, "every post once, in order");
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");
    let again = ids(&service.feed(&service.urls[0]).await);
    assert_eq!(again, mine[..PAGE], "whatever else was asked for meanwhile");
    let last = service.get("/api/posts?before=1").answer().await;
    assert_eq!(last.body, json!([]), "no number is below 1");
    assert_eq!(next(&last.headers), None);
    for wrong in [
        "limit=0",
        "limit=101",
        "limit=many",
        "before=0",
        "before=dawn",
    ] {
        let call = service.get(format!("/api/posts?{wrong}"));
        let said = call.refused(422).await;
        let name = wrong.split('=').next().unwrap();
        assert!(said.starts_with(name), "{said}");
    }
}
