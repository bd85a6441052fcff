//! Exports: everything, as it was at one moment, for nobody else.

use domain::{
    Ctx, Error,
    auth::Session,
    exports::{self, Part},
    relations,
    testing::{self, posts as given},
};

use crate::{people::member, statements::Statements};

/// Reads an export to its end: how many items of each kind there are, and the texts of the posts.
async fn read(mut export: exports::Export) -> (Vec<(&'static str, usize)>, Vec<String>) {
    let (mut kinds, mut texts) = (Vec::<(&str, usize)>::new(), Vec::new());
    while let Some(part) = export.next().await.unwrap() {
        let (kind, count) = match part {
            Part::Sessions(items) => ("sessions", items.len()),
            Part::Followed(items) => ("followed", items.len()),
            Part::Followers(items) => ("followers", items.len()),
            Part::Blocks(items) => ("blocks", items.len()),
            Part::Mutes(items) => ("mutes", items.len()),
            Part::Likes(items) => ("likes", items.len()),
            Part::Bookmarks(items) => ("bookmarks", items.len()),
            Part::Notifications(items) => ("notifications", items.len()),
            Part::Posts(items) => {
                texts.extend(items.iter().map(|post| post.content.clone()));
                ("posts", items.len())
            }
        };
        match kinds.last_mut() {
            Some((last, sum)) if *last == kind => *sum += count,
            _ => kinds.push((kind, count)),
        }
    }
    (kinds, texts)
}

async fn export(ctx: &Ctx, session: &Session) -> exports::Export {
    exports::open(ctx, session).await.unwrap()
}

#[tokio::test]
async fn an_export_shows_one_moment_in_parts() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (member(&ctx, "ada").await, member(&ctx, "bob").await);
    given::backlog(&ctx, &ada.user, 250).await;
    given::write(&ctx, &bob.user, "not hers").await;
    sqlx::query("INSERT INTO likes (user_id, post_id) SELECT $1, id FROM posts WHERE id <= 250")
        .bind(bob.user.id.0)
        .execute(&ctx.db)
        .await
        .unwrap();
    relations::follow(&ctx, &bob.user, ada.user.id)
        .await
        .unwrap();
    let under_way = export(&ctx, &ada).await;
    assert_eq!(under_way.account().username, "ada");
    // What comes after the first part is of the same moment.
    given::write(&ctx, &ada.user, "later").await;
    relations::block(&ctx, &ada.user, bob.user.id)
        .await
        .unwrap();
    let (kinds, texts) = read(under_way).await;
    let expected = [
        ("sessions", 1),
        ("followed", 0),
        ("followers", 1),
        ("blocks", 0),
        ("mutes", 0),
        ("likes", 0),
        ("bookmarks", 0),
        ("notifications", 1),
        ("posts", 250),
    ];
    assert_eq!(kinds, expected);
    let expected: Vec<String> = (1..=250).rev().map(|n| format!("post {n}")).collect();
    assert_eq!(texts, expected);
    let (kinds, _) = read(export(&ctx, &bob).await).await;
    assert!(kinds.contains(&("likes", 250)) && kinds.contains(&("posts", 1)));
    let statements = Statements::watch();
    let (kinds, _) = read(export(&ctx, &ada).await).await;
    // The account, eight lists, and three parts of posts with their edits.
    assert_eq!(statements.take("SELECT"), 1 + 8 + 3 * 2);
    assert!(kinds.contains(&("blocks", 1)) && kinds.contains(&("followers", 0)));
}

#[tokio::test]
async fn one_is_exported_at_a_time_and_the_next_is_told_to_come_back() {
    let ctx = testing::ctx().await;
    let ada = member(&ctx, "ada").await;
    let under_way = export(&ctx, &ada).await;
    let refusal = exports::open(&ctx, &ada).await.err().unwrap();
    assert!(matches!(refusal, Error::Unavailable { .. }), "{refusal}");
    // Whoever goes away makes room.
    drop(under_way);
    export(&ctx, &ada).await;
}

#[tokio::test]
async fn an_export_that_loses_its_connection_is_never_taken_for_whole() {
    let ctx = testing::ctx().await;
    let ada = member(&ctx, "ada").await;
    let mut under_way = export(&ctx, &ada).await;
    // One connection for all that follows, whose loss must not be taken for the end.
    let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE state = 'idle in transaction' AND datname = current_database()";
    testing::eventually("the reader to wait", async || {
        let ended = sqlx::query(statement).execute(&ctx.db).await.unwrap();
        ended.rows_affected() == 1
    })
    .await;
    let failure = loop {
        match under_way.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a part was taken for the whole"),
            Err(failure) => break failure,
        }
    };
    assert!(
        matches!(failure, Error::Internal(_) | Error::Unavailable { .. }),
        "{failure}"
    );
}
