//! Posts that are written and read together: each caller gets their own, in few statements, and one that fails fails alone.

use domain::{
    Error,
    ids::{PostId, UserId},
    jobs::MAX_HINTS,
    posts::{self, NewPost, PostText},
    testing::{self, posts as given},
    users::User,
};

use crate::statements::Statements;

fn draft(text: &str) -> NewPost {
    NewPost {
        text: PostText::parse(text, 500).unwrap(),
        reply_to: None,
        request_id: format!("request of {text}"),
    }
}

#[tokio::test]
async fn a_crowd_that_posts_at_once_is_written_in_few_statements_and_each_gets_their_own() {
    let ctx = testing::ctx().await;
    let mut authors = Vec::new();
    for _ in 0..5 {
        authors.push(given::author(&ctx).await);
    }
    // A statement has been said by now, so that opening connections is not counted.
    let statements = Statements::watch();
    let writers: Vec<_> = (0..200)
        .map(|number| {
            let (ctx, author) = (ctx.clone(), authors[number % 5].clone());
            tokio::spawn(async move {
                let text = format!("thought {number}");
                (
                    number,
                    posts::create(&ctx, &author, draft(&text)).await.unwrap(),
                )
            })
        })
        .collect();
    let mut ids = Vec::new();
    for writer in writers {
        let (number, post) = writer.await.unwrap();
        assert_eq!(post.content, format!("thought {number}"));
        assert_eq!(post.user_id, authors[number % 5].id);
        ids.push((post.id, number));
    }
    let inserts = statements.take("INSERT INTO posts");
    assert!((2..=10).contains(&inserts), "{inserts} statements");

    let readers: Vec<_> = ids
        .iter()
        .map(|&(id, number)| {
            let ctx = ctx.clone();
            tokio::spawn(async move { (number, posts::get(&ctx, None, id).await.unwrap()) })
        })
        .collect();
    for reader in readers {
        let (number, post) = reader.await.unwrap();
        assert_eq!(
            post.content,
            format!("thought {number}"),
            "what was stored under its number"
        );
        assert_eq!(post.user_id, authors[number % 5].id);
        assert!(post.analysis.is_some(), "the trigger has seen each of them");
    }
    let reads = statements.take("FROM posts e");
    assert!((2..=10).contains(&reads), "{reads} statements");
    assert_eq!(
        ctx.jobs.room().await.unwrap(),
        MAX_HINTS - 200,
        "a hint each"
    );
    let fanouts: i64 = sqlx::query_scalar("SELECT count(*) FROM fanouts")
        .fetch_one(&ctx.db)
        .await
        .unwrap();
    assert_eq!(fanouts, 200);
}

#[tokio::test]
async fn one_that_cannot_be_written_takes_no_other_along() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let nobody = User {
        id: UserId(9_999_999),
        username: "nobody".into(),
    };
    let writers: Vec<_> = (0..20)
        .map(|number| {
            let who = if number % 10 == 5 { &nobody } else { &author };
            let (ctx, who) = (ctx.clone(), who.clone());
            tokio::spawn(async move {
                let written = posts::create(&ctx, &who, draft(&format!("thought {number}"))).await;
                (number, written)
            })
        })
        .collect();
    for writer in writers {
        let (number, written) = writer.await.unwrap();
        match written {
            Ok(post) => assert_eq!(post.content, format!("thought {number}")),
            Err(error) => {
                assert_eq!(number % 10, 5, "{error}");
                assert!(matches!(error, Error::Internal(_)), "{error:?}");
            }
        }
    }
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM posts")
        .fetch_one(&ctx.db)
        .await
        .unwrap();
    assert_eq!(stored, 18, "each once");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_for_its_reader_alone() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let post = given::write(&ctx, &author, "here").await;
    let repost = posts::repost(&ctx, &author, post.id).await;
    let entry = sqlx::query_scalar::<_, i64>("SELECT max(id) FROM posts")
        .fetch_one(&ctx.db)
        .await
        .unwrap();
    assert!(repost.is_ok());
    let (there, missing, reposted) = tokio::join!(
        posts::get(&ctx, None, post.id),
        posts::get(&ctx, None, PostId(123_456)),
        posts::get(&ctx, None, PostId(entry)),
    );
    assert_eq!(there.unwrap().content, "here");
    assert!(matches!(missing, Err(Error::NotFound("post"))));
    assert!(
        matches!(reposted, Err(Error::NotFound("post"))),
        "a repost is no post of its own"
    );
}
