//! `/api/search/*` over HTTP: what is asked and refused, and that the pages are linked.

use serde_json::json;

use crate::{
    app::TestApp,
    client::{Client, ids},
};

/// The ids of all pages, following the header Link.
async fn walked(client: &Client, path: &str) -> Vec<i64> {
    let (mut path, mut seen) = (path.to_owned(), Vec::new());
    while !path.is_empty() {
        let page = client.get(&path).await;
        let link = page.header("link").to_owned();
        seen.extend(ids(&page.ok(200)));
        path = link
            .strip_prefix('<')
            .map_or(String::new(), |link| link.replace(">; rel=\"next\"", ""));
    }
    seen
}

#[tokio::test]
async fn posts_are_searched_page_by_page_whatever_is_in_the_query() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let mut hers = Vec::new();
    for n in 0..7 {
        hers.insert(
            0,
            ada.write(&format!("café & tea #tea_{} \"{n}\"", n % 2))
                .await,
        );
    }
    let nobody = app.client(0);
    for query in [
        "caf%C3%A9%20%26%20tea",
        "%22caf%C3%A9%20tea%22+-coffee",
        "tea",
    ] {
        let seen = walked(&nobody, &format!("/api/search/posts?q={query}&limit=3")).await;
        assert_eq!(seen, hers, "{query}");
    }
    let tagged = walked(&nobody, "/api/search/posts?q=%23TEA_0&limit=3").await;
    assert_eq!(tagged, [hers[0], hers[2], hers[4], hers[6]]);
    let page = ada.get("/api/search/posts?q=tea&limit=1").await;
    assert_eq!(
        page.ok(200)[0]["viewer"],
        json!({"liked": false, "reposted": false, "bookmarked": false})
    );
    let none = nobody.get("/api/search/posts?q=nothing").await;
    assert_eq!(none.header("link"), "");
    assert_eq!(none.ok(200), json!([]));
}

#[tokio::test]
async fn people_are_searched_page_by_page() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let lovelace = app.member("lovelace").await;
    let other = app.member("Ada_2").await;
    let profile = json!({"display_name": "Ada Lovelace"});
    lovelace.put("/api/profile", profile).await.ok(200);
    let seen = walked(&app.client(0), "/api/search/people?q=ada&limit=1").await;
    assert_eq!(seen, [ada.id, other.id, lovelace.id]);
    let seen = walked(&ada, "/api/search/people?q=%40ADA&limit=1").await;
    assert_eq!(seen, [ada.id, other.id]);

    lovelace
        .post(&format!("/api/user/{}/block", ada.id), json!({}))
        .await
        .ok(200);
    let seen = walked(&lovelace, "/api/search/people?q=ada").await;
    assert_eq!(seen, [other.id, lovelace.id]);
    let seen = walked(&ada, "/api/search/people?q=ada").await;
    assert_eq!(seen, [ada.id, other.id]);
}

#[tokio::test]
async fn searches_that_make_no_sense_are_refused_by_name() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    for list in ["/api/search/posts", "/api/search/people"] {
        let long = format!("q={}", "x".repeat(201));
        for wrong in ["", "q=", "q=%20%20", long.as_str()] {
            let problem = nobody.get(&format!("{list}?{wrong}")).await;
            let problem = problem.refused(422, "q must have 1 to 200 characters");
            assert_eq!(problem["errors"][0]["field"], "q");
        }
        nobody
            .get(&format!("{list}?q=a%00b"))
            .await
            .refused(422, "control characters (it holds U+0000)");
        for nothing in ["%22", "%22%22", "%23", "%F0%9F%90%A6"] {
            let problem = nobody.get(&format!("{list}?q={nothing}")).await;
            problem.refused(422, "q must hold a word to look for");
        }
        for after in [
            "",
            "5",
            "r",
            "n",
            "t1",
            "%00",
            "rffffffffffffffff00000000000000010000000000000001",
        ] {
            let problem = nobody.get(&format!("{list}?q=tea&after={after}")).await;
            problem.refused(422, "after must be what the header Link");
        }
        let problem = nobody.get(&format!("{list}?q=tea&limit=0")).await;
        problem.refused(422, "limit must be");
        nobody
            .get(&format!("{list}?q=a&q=b"))
            .await
            .refused(400, "the query cannot be read");
    }
    nobody
        .get("/api/search/posts?q=-")
        .await
        .refused(422, "q must hold a word");
    nobody
        .get("/api/search/posts?q=tea&after=t0000000000000001")
        .await
        .refused(422, "after must be");
}
