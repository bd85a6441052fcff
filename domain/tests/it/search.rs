//! Searching: what is found, in which order, page by page, and what is not shown to whom.

use domain::{
    Ctx, Error,
    ids::{PostId, UserId},
    page::Limit,
    posts, relations,
    search::{self, PersonCursor, PostCursor, Query},
    testing::{self, posts as given},
    users::User,
};

use crate::statements::Statements;

fn query(text: &str) -> Query {
    Query::parse(text).unwrap()
}

fn limit(most: i64) -> Limit {
    Limit::parse(most).unwrap()
}

/// What is found, on one page.
async fn found(ctx: &Ctx, viewer: Option<UserId>, text: &str) -> Vec<PostId> {
    let page = search::posts(ctx, viewer, &query(text), None, limit(100)).await;
    page.unwrap().items.iter().map(|post| post.id).collect()
}

/// What is found, in pages of `size`; `between` happens after each.
async fn walked(
    ctx: &Ctx,
    viewer: Option<UserId>,
    text: &str,
    size: i64,
    mut between: impl AsyncFnMut(),
) -> Vec<PostId> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = search::posts(ctx, viewer, &query(text), after, limit(size)).await;
        let page = page.unwrap();
        seen.extend(page.items.iter().map(|post| post.id));
        let Some(next) = page.next else { return seen };
        assert_eq!(
            page.items.len(),
            limit(size).get(),
            "a page that is not the last is full"
        );
        // As it travels.
        after = Some(PostCursor::parse(&next.to_string()).unwrap());
        between().await;
    }
}

async fn people(ctx: &Ctx, viewer: Option<UserId>, text: &str, size: i64) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = search::people(ctx, viewer, &query(text), after, limit(size)).await;
        let page = page.unwrap();
        seen.extend(page.items.into_iter().map(|person| person.username));
        let Some(next) = page.next else { return seen };
        after = Some(PersonCursor::parse(&next.to_string()).unwrap());
    }
}

async fn age(ctx: &Ctx, post: PostId, days: i32) {
    sqlx::query("UPDATE posts SET created_at = now() - make_interval(days => $2) WHERE id = $1")
        .bind(post.0)
        .bind(days)
        .execute(&ctx.db)
        .await
        .unwrap();
}

async fn person(ctx: &Ctx, username: &str, display_name: &str, bio: &str) -> User {
    let id = sqlx::query_scalar(
        "INSERT INTO users (username, password_hash, display_name, bio) VALUES ($1, '', $2, $3) RETURNING id",
    )
    .bind(username)
    .bind(display_name)
    .bind(bio)
    .fetch_one(&ctx.db)
    .await
    .unwrap();
    User {
        id: UserId(id),
        username: username.into(),
    }
}

#[tokio::test]
async fn posts_are_found_by_words_phrases_and_what_they_lack() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    let write = async |text: &str| given::write(&ctx, &ada, text).await.id;
    let swallow = write("The first SWALLOW of the year!").await;
    let football = write("swallow: the first football club of its name").await;
    let bird = write("A bird, Straße, crème brûlée").await;
    assert_eq!(found(&ctx, None, "swallow").await.len(), 2);
    assert_eq!(found(&ctx, None, "\"first swallow\"").await, [swallow]);
    assert_eq!(found(&ctx, None, "swallow -football").await, [swallow]);
    assert_eq!(found(&ctx, None, "swallow football").await, [football]);
    assert_eq!(found(&ctx, None, "bird or football").await.len(), 2);
    assert_eq!(found(&ctx, None, "BRÛLÉE").await, [bird]);
    assert_eq!(found(&ctx, None, "nothing like it").await, []);
    for harmless in [
        "swallow'; --",
        "swallow:*",
        "swallow & | ! ()",
        "swallow \\",
    ] {
        assert_eq!(found(&ctx, None, harmless).await.len(), 2, "{harmless}");
    }

    posts::repost(&ctx, &given::author(&ctx).await, swallow)
        .await
        .unwrap();
    assert_eq!(
        found(&ctx, None, "\"first swallow\"").await,
        [swallow],
        "once"
    );
    given::edit(&ctx, &ada, swallow, "an owl").await;
    posts::delete(&ctx, &ada, football).await.unwrap();
    assert_eq!(found(&ctx, None, "swallow").await, []);
    assert_eq!(found(&ctx, None, "owl").await, [swallow]);
}

#[tokio::test]
async fn what_fits_better_comes_first_unless_it_is_much_older() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    let write = async |text: &str| given::write(&ctx, &ada, text).await.id;
    let older = write("rust is a language").await;
    let better = write("rust, rust and again rust").await;
    let newer = write("rust is a language").await;
    age(&ctx, older, 3).await;
    age(&ctx, better, 10).await;
    assert_eq!(found(&ctx, None, "rust").await, [better, newer, older]);
    age(&ctx, better, 100).await;
    assert_eq!(found(&ctx, None, "rust").await, [newer, older, better]);
}

#[tokio::test]
async fn the_pages_show_each_hit_once_while_others_write() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    for n in 0..37 {
        // Many of the same rank, some of another.
        given::write(&ctx, &ada, &format!("tea{}", " tea".repeat(n % 4))).await;
    }
    for size in [1, 5, 36, 37, 38] {
        let all = found(&ctx, None, "tea").await;
        let seen = walked(&ctx, None, "tea", size, async || {
            given::write(&ctx, &ada, "tea tea tea tea tea tea tea").await;
        })
        .await;
        assert_eq!(seen, all, "in pages of {size}");
    }
}

#[tokio::test]
async fn of_a_common_word_the_newest_thousand_are_shown() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    given::backlog(&ctx, &ada, 1_050).await;
    let mut seen = walked(&ctx, None, "post", 100, async || {}).await;
    seen.sort();
    assert_eq!(seen, (51..=1_050).map(PostId).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lone_tag_finds_what_is_tagged_so_and_tags_among_words_are_words() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    let write = async |text: &str| given::write(&ctx, &ada, text).await.id;
    let first = write("I like #Rust").await;
    write("rust without a tag").await;
    let second = write("#rust again, and #tea").await;
    for text in ["#rust", "#RUST", "＃ｒｕｓｔ"] {
        assert_eq!(found(&ctx, None, text).await, [second, first], "{text}");
    }
    assert_eq!(
        walked(&ctx, None, "#rust", 1, async || {}).await,
        [second, first]
    );
    assert_eq!(found(&ctx, None, "#rust tea").await, [second]);
    assert_eq!(found(&ctx, None, "#unheard_of").await, []);
    let hello = write("hello @Some.Body, how are you").await;
    assert_eq!(found(&ctx, None, "@some.body").await, [hello]);
}

#[tokio::test]
async fn who_looks_for_nothing_is_told_so() {
    let ctx = testing::ctx().await;
    let refused = |error: Error| match error {
        Error::Invalid(violations) => violations[0].field,
        other => panic!("{other}"),
    };
    for nothing in [
        "-", "\"", "\"\"", "#", "@", "-java", "🐦", "- - -", "a or -b", "!&|",
    ] {
        let posts = search::posts(&ctx, None, &query(nothing), None, limit(10)).await;
        assert_eq!(refused(posts.unwrap_err()), "q", "{nothing}");
    }
    for nothing in ["\"", "#", "@", "-\"java\"", "🐦"] {
        let people = search::people(&ctx, None, &query(nothing), None, limit(10)).await;
        assert_eq!(refused(people.unwrap_err()), "q", "{nothing}");
    }
    // A cursor of another search.
    let tagged = Some(PostCursor::Tagged { before: 5 });
    let posts = search::posts(&ctx, None, &query("tea"), tagged, limit(10)).await;
    assert_eq!(refused(posts.unwrap_err()), "after");
    let named = Some(PersonCursor::Named { name: "ada".into() });
    let people = search::people(&ctx, None, &query("two words"), named, limit(10)).await;
    assert_eq!(refused(people.unwrap_err()), "after");
}

#[tokio::test]
async fn the_blocked_and_the_muted_are_left_out_and_pages_are_full_all_the_same() {
    let ctx = testing::ctx().await;
    let viewer = given::author(&ctx).await;
    let mut authors = Vec::new();
    for _ in 0..4 {
        authors.push(given::author(&ctx).await);
    }
    let (blocked, blocker, muted, fine) = (&authors[0], &authors[1], &authors[2], &authors[3]);
    let mut expected = Vec::new();
    for n in 0..6 {
        for author in [blocked, blocker, muted] {
            given::write(&ctx, author, &format!("tea {n} #tea")).await;
        }
        expected.insert(
            0,
            given::write(&ctx, fine, &format!("tea {n} #tea")).await.id,
        );
    }
    relations::block(&ctx, &viewer, blocked.id).await.unwrap();
    relations::block(&ctx, blocker, viewer.id).await.unwrap();
    relations::mute(&ctx, &viewer, muted.id).await.unwrap();
    for text in ["tea", "#tea"] {
        assert_eq!(found(&ctx, None, text).await.len(), 24);
        assert_eq!(
            walked(&ctx, Some(viewer.id), text, 2, async || {}).await,
            expected
        );
    }
    let people = people(&ctx, Some(viewer.id), "author", 10).await;
    for (author, is_shown) in [
        (blocked, false),
        (blocker, false),
        (muted, true),
        (fine, true),
    ] {
        assert_eq!(people.contains(&author.username), is_shown);
    }
}

#[tokio::test]
async fn people_are_found_by_the_beginning_of_their_name_and_then_by_words() {
    let ctx = testing::ctx().await;
    person(&ctx, "Adam", "", "").await;
    person(&ctx, "countess", "Ada Lovelace", "").await;
    person(&ctx, "ada", "", "").await;
    person(&ctx, "fan", "", "A fan of Ada, the first programmer").await;
    person(&ctx, "ada_b", "Ada B", "Ada").await;
    let gone = person(&ctx, "ada_gone", "", "").await;
    sqlx::query("UPDATE users SET deleted_at = now() WHERE id = $1")
        .bind(gone.id.0)
        .execute(&ctx.db)
        .await
        .unwrap();
    for size in [1, 2, 3, 5, 10] {
        let all = people(&ctx, None, "ADA", size).await;
        assert_eq!(
            all,
            ["ada", "ada_b", "Adam", "countess", "fan"],
            "in pages of {size}"
        );
    }
    assert_eq!(
        people(&ctx, None, "@ada", 10).await,
        ["ada", "ada_b", "Adam"]
    );
    // No wildcard.
    assert_eq!(people(&ctx, None, "@ada_", 10).await, ["ada_b"]);
    assert_eq!(people(&ctx, None, "lovelace ada", 10).await, ["countess"]);
}

#[tokio::test]
async fn the_statements_of_a_search_do_not_grow_with_the_page() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    given::backlog(&ctx, &ada, 100).await;
    for n in 0..60 {
        person(&ctx, &format!("name{n}"), "Name", "a name").await;
        person(&ctx, &format!("other{n}"), "Name", "a name").await;
    }
    for n in 0..50 {
        given::write(&ctx, &ada, &format!("{n} #tea")).await;
    }
    let statements = Statements::watch();
    for size in [1, 10, 50] {
        let size = limit(size);
        let posts = search::posts(&ctx, Some(ada.id), &query("post"), None, size).await;
        assert_eq!(posts.unwrap().items.len(), size.get());
        assert_eq!(statements.take("SELECT"), 3, "words");
        let posts = search::posts(&ctx, Some(ada.id), &query("#tea"), None, size).await;
        assert_eq!(posts.unwrap().items.len(), size.get());
        assert_eq!(statements.take("SELECT"), 2, "a tag");
        let people = search::people(&ctx, Some(ada.id), &query("name"), None, size).await;
        assert_eq!(people.unwrap().items.len(), size.get());
        assert_eq!(statements.take("SELECT"), 3, "names");
    }
    let both = search::people(&ctx, Some(ada.id), &query("name"), None, limit(100)).await;
    assert_eq!(both.unwrap().items.len(), 100);
    assert_eq!(statements.take("SELECT"), 4, "names and words");
}
