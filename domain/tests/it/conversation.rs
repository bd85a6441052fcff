//! Answers and their conversations, mentions and tags, what a post said before, and whom all of it is told.

use domain::{
    Ctx, Error,
    ids::PostId,
    page::{Limit, Page},
    posts::{self, NewPost, PostText, PostView},
    relations,
    testing::{self, posts as given},
    users::User,
};

use crate::statements::Statements;

fn limit(most: i64) -> Limit {
    Limit::parse(most).unwrap()
}

fn ids(posts: &[PostView]) -> Vec<PostId> {
    posts.iter().map(|post| post.entry).collect()
}

async fn refusal(ctx: &Ctx, author: &User, to: PostId) -> Error {
    let new = NewPost {
        text: PostText::parse("an answer", 500).unwrap(),
        reply_to: Some(to),
        request_id: String::new(),
    };
    posts::create(ctx, author, new).await.unwrap_err()
}

/// Who was told what of a post, as `(user, kind)`.
async fn told(ctx: &Ctx, post: PostId) -> Vec<(i64, String)> {
    sqlx::query_as(
        "SELECT user_id, kind FROM notifications WHERE post_id = $1 ORDER BY user_id, id",
    )
    .bind(post.0)
    .fetch_all(&ctx.db)
    .await
    .unwrap()
}

async fn mentioned(ctx: &Ctx, post: PostId) -> Vec<i64> {
    sqlx::query_scalar("SELECT user_id FROM post_mentions WHERE post_id = $1 ORDER BY user_id")
        .bind(post.0)
        .fetch_all(&ctx.db)
        .await
        .unwrap()
}

async fn tags(ctx: &Ctx, post: PostId) -> Vec<String> {
    sqlx::query_scalar("SELECT tag FROM post_tags WHERE post_id = $1 ORDER BY tag")
        .bind(post.0)
        .fetch_all(&ctx.db)
        .await
        .unwrap()
}

#[tokio::test]
async fn answers_belong_to_a_conversation_and_are_counted() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    let root = given::write(&ctx, &ada, "root").await;
    assert_eq!((root.thread_id, root.reply_to.clone()), (None, None));
    let answer = given::reply(&ctx, &bob, root.id, "answer").await;
    let to = answer.reply_to.clone().unwrap();
    assert_eq!(
        (to.post_id, to.user_id, to.username),
        (root.id, ada.id, ada.username.clone())
    );
    assert_eq!(answer.thread_id, Some(root.id));
    let deeper = given::reply(&ctx, &ada, answer.id, "deeper").await;
    assert_eq!(deeper.thread_id, Some(root.id));
    for (post, replies) in [(&root, 1), (&answer, 1), (&deeper, 0)] {
        let read = posts::get(&ctx, Some(ada.id), post.id).await.unwrap();
        assert_eq!(read.replies, replies);
    }
    // What the writer was told is what everybody reads.
    let read = posts::get(&ctx, Some(bob.id), answer.id).await.unwrap();
    assert_eq!(PostView { replies: 0, ..read }, answer);

    let thread = posts::thread(&ctx, None, answer.id, None, limit(10))
        .await
        .unwrap();
    assert_eq!(ids(&thread.ancestors), [root.id]);
    assert_eq!(thread.post.id, answer.id);
    assert_eq!(ids(&thread.replies.items), [deeper.id]);

    posts::delete(&ctx, &bob, answer.id).await.unwrap();
    assert_eq!(posts::get(&ctx, None, root.id).await.unwrap().replies, 0);
    // What answers a deleted post stays, and so does its place.
    let thread = posts::thread(&ctx, None, deeper.id, None, limit(10))
        .await
        .unwrap();
    assert_eq!(ids(&thread.ancestors), [root.id]);
    assert_eq!(thread.post.reply_to.unwrap().post_id, answer.id);
}

#[tokio::test]
async fn only_what_one_can_see_can_be_answered() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    let gone = given::write(&ctx, &ada, "gone").await;
    posts::delete(&ctx, &ada, gone.id).await.unwrap();
    let post = given::write(&ctx, &ada, "post").await;
    posts::repost(&ctx, &bob, post.id).await.unwrap();
    let repost = posts::by_author(&ctx, None, bob.id, None, limit(1))
        .await
        .unwrap();
    let repost = repost.items[0].entry;
    assert_ne!(repost, post.id);
    for to in [PostId(0), PostId(-1), PostId(i64::MAX), gone.id, repost] {
        let refusal = refusal(&ctx, &bob, to).await;
        assert!(
            matches!(refusal, Error::NotFound("post")),
            "{to}: {refusal}"
        );
    }
    for (blocker, blocked) in [(&ada, &bob), (&bob, &ada)] {
        relations::block(&ctx, blocker, blocked.id).await.unwrap();
        let refusal = refusal(&ctx, &bob, post.id).await;
        assert!(matches!(refusal, Error::NotFound("post")), "{refusal}");
        relations::unblock(&ctx, blocker, blocked.id).await.unwrap();
    }
    assert_eq!(posts::get(&ctx, None, post.id).await.unwrap().replies, 0);
    given::reply(&ctx, &bob, post.id, "at last").await;
    assert_eq!(posts::get(&ctx, None, post.id).await.unwrap().replies, 1);
}

#[tokio::test]
async fn long_conversations_are_shown_in_parts() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    let mut chain = vec![given::write(&ctx, &ada, "0").await.id];
    for i in 1..60 {
        let to = chain[i - 1];
        chain.push(given::reply(&ctx, &ada, to, &i.to_string()).await.id);
    }
    let thread = posts::thread(&ctx, None, chain[59], None, limit(10))
        .await
        .unwrap();
    assert_eq!(ids(&thread.ancestors), chain[9..59]);
    let thread = posts::thread(&ctx, None, chain[50], None, limit(10))
        .await
        .unwrap();
    assert_eq!(ids(&thread.ancestors), chain[..50]);

    let root = given::write(&ctx, &ada, "many answers").await.id;
    let mut answers = Vec::new();
    for i in 0..7 {
        answers.push(given::reply(&ctx, &ada, root, &i.to_string()).await.id);
        given::write(&ctx, &ada, "meanwhile").await;
    }
    posts::delete(&ctx, &ada, answers.remove(2)).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page: Page<PostView> = posts::replies(&ctx, None, root, after, limit(4))
            .await
            .unwrap();
        let thread = posts::thread(&ctx, None, root, after, limit(4))
            .await
            .unwrap();
        assert_eq!(thread.replies, page);
        seen.extend(ids(&page.items));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, answers);
}

#[tokio::test]
async fn mentions_are_of_people_who_exist_and_tags_in_one_form() {
    let ctx = testing::ctx().await;
    let (ada, bob, eve) = (
        given::author(&ctx).await,
        given::author(&ctx).await,
        given::author(&ctx).await,
    );
    let (gone, mallory) = (given::author(&ctx).await, given::author(&ctx).await);
    sqlx::query("UPDATE users SET deleted_at = now() WHERE id = $1")
        .bind(gone.id.0)
        .execute(&ctx.db)
        .await
        .unwrap();
    relations::block(&ctx, &mallory, ada.id).await.unwrap();
    let text = format!(
        "@{} @{} @{} @{} @{} @nobody #Rust #rust #Ｒｕｓｔ #2024 https://a.org/#no",
        bob.username.to_uppercase(),
        bob.username,
        ada.username,
        gone.username,
        mallory.username,
    );
    let post = given::write(&ctx, &ada, &text).await;
    assert_eq!(mentioned(&ctx, post.id).await, [ada.id.0, bob.id.0]);
    assert_eq!(tags(&ctx, post.id).await, ["rust"]);
    // Nobody is told of what they did themselves, or what is hidden from them.
    assert_eq!(
        told(&ctx, post.id).await,
        [(bob.id.0, "mention".to_owned())]
    );

    let text = format!("@{} @{} #Swift", bob.username, eve.username);
    given::edit(&ctx, &ada, post.id, &text).await;
    assert_eq!(mentioned(&ctx, post.id).await, [bob.id.0, eve.id.0]);
    assert_eq!(tags(&ctx, post.id).await, ["swift"]);
    let expected = [bob.id.0, eve.id.0].map(|id| (id, "mention".to_owned()));
    assert_eq!(told(&ctx, post.id).await, expected, "bob is not told again");

    given::edit(&ctx, &ada, post.id, "nothing of it").await;
    assert!(mentioned(&ctx, post.id).await.is_empty());
    assert!(tags(&ctx, post.id).await.is_empty());
}

#[tokio::test]
async fn so_many_names_and_no_more() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    let mut text = String::from("@nobody");
    let mut first = Vec::new();
    for i in 0..25 {
        let person = given::author(&ctx).await;
        text.push_str(&format!(" @{} #tag{i:02}", person.username));
        first.push(person.id.0);
    }
    let post = given::write(&ctx, &ada, &text).await;
    assert_eq!(mentioned(&ctx, post.id).await, first[..20]);
    assert_eq!(tags(&ctx, post.id).await.len(), 20);
    assert_eq!(told(&ctx, post.id).await.len(), 20);
}

#[tokio::test]
async fn who_is_answered_is_told_once() {
    let ctx = testing::ctx().await;
    let (ada, bob, eve) = (
        given::author(&ctx).await,
        given::author(&ctx).await,
        given::author(&ctx).await,
    );
    let post = given::write(&ctx, &ada, "post").await;
    let text = format!("@{} @{}", ada.username, eve.username);
    let answer = given::reply(&ctx, &bob, post.id, &text).await;
    let expected = [
        (ada.id.0, "reply".to_owned()),
        (eve.id.0, "mention".to_owned()),
    ];
    assert_eq!(told(&ctx, answer.id).await, expected);
    assert_eq!(mentioned(&ctx, answer.id).await, [ada.id.0, eve.id.0]);
    given::edit(&ctx, &bob, answer.id, "now without names").await;
    given::edit(&ctx, &bob, answer.id, &text).await;
    assert_eq!(told(&ctx, answer.id).await, expected);
    let own = given::reply(&ctx, &ada, post.id, "to myself").await;
    assert_eq!(told(&ctx, own.id).await, []);
}

#[tokio::test]
async fn what_a_post_said_before_is_kept() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    let post = given::write(&ctx, &ada, "one").await;
    assert!(!post.edited);
    let history = posts::history(&ctx, None, post.id).await.unwrap();
    assert_eq!(history.len(), 1);
    let two = given::edit(&ctx, &ada, post.id, "two").await;
    assert!(two.edited);
    // The same text again is no edit.
    given::edit(&ctx, &ada, post.id, "two").await;
    let three = given::edit(&ctx, &ada, post.id, "three").await;
    let history = posts::history(&ctx, None, post.id).await.unwrap();
    let shown: Vec<_> = history
        .iter()
        .map(|edit| (edit.revision, &*edit.content, edit.created_at))
        .collect();
    let expected = [
        (1, "one", post.created_at),
        (2, "two", two.updated_at),
        (3, "three", three.updated_at),
    ];
    assert_eq!(shown, expected);
    for i in 0..120 {
        given::edit(&ctx, &ada, post.id, &format!("text {i}")).await;
    }
    let history = posts::history(&ctx, None, post.id).await.unwrap();
    let revisions: Vec<i32> = history.iter().map(|edit| edit.revision).collect();
    assert_eq!(revisions, (24..=123).collect::<Vec<_>>());
    posts::delete(&ctx, &ada, post.id).await.unwrap();
    let gone = posts::history(&ctx, Some(ada.id), post.id).await;
    assert!(matches!(gone, Err(Error::NotFound("post"))));
}

#[tokio::test]
async fn the_statements_of_a_write_do_not_grow_with_its_names() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    let mut names = String::new();
    for i in 0..10 {
        let person = given::author(&ctx).await;
        names.push_str(&format!(" @{} #tag{i}", person.username));
    }
    let statements = Statements::watch();
    let post = given::write(&ctx, &ada, "plain, with https://a.org").await;
    assert_eq!(statements.take(""), 1, "a plain post");
    given::write(&ctx, &ada, "#one").await;
    let few = statements.take("");
    assert!(few <= 4, "{few}");
    given::write(&ctx, &ada, &names).await;
    // One more says how the people who are told stand now.
    let many = statements.take("");
    assert!(many <= 6, "{many}");
    given::reply(&ctx, &bob, post.id, &names).await;
    let answer = statements.take("");
    assert!(answer <= 7, "{answer}");
}
