//! Notifications: who is told of what, and what is still shown.

use domain::{
    Ctx,
    clock::Clock,
    ids::{PostId, UserId},
    live::Event,
    notifications::{self, KEPT, Kind, MAX_UNREAD, Notice, NotificationView},
    page::Limit,
    posts, relations,
    testing::{self, posts as given},
    users::{self, User},
};

use crate::{
    people::{Ears, member},
    statements::Statements,
};

/// Tells within a transaction, as a deed does.
async fn tell(ctx: &Ctx, notices: &[Notice]) -> Vec<UserId> {
    let mut tx = ctx.db.begin().await.unwrap();
    let told = notifications::notify(&mut tx, notices).await.unwrap();
    tx.commit().await.unwrap();
    told
}

fn notice(to: &User, actor: &User, kind: Kind, post: Option<PostId>) -> Notice {
    Notice {
        to: to.id,
        actor: actor.id,
        kind,
        post,
    }
}

async fn list(ctx: &Ctx, user: &User) -> Vec<NotificationView> {
    let page = notifications::list(ctx, user, None, Limit::default()).await;
    page.unwrap().items
}

/// How many are shown and how many of them are unread, which is also what is counted.
async fn shown(ctx: &Ctx, user: &User) -> (usize, usize) {
    let list = list(ctx, user).await;
    let unread = list.iter().filter(|item| !item.read).count();
    let counted = notifications::unread(ctx, user.id).await.unwrap();
    assert_eq!(counted, i64::try_from(unread).unwrap());
    (list.len(), unread)
}

#[tokio::test]
async fn whoever_may_be_told_is_told_once() {
    let ctx = testing::ctx().await;
    let mut people = Vec::new();
    for _ in 0..6 {
        people.push(given::author(&ctx).await);
    }
    let [ada, bob, blocker, blocked, muter, gone] = &people[..] else {
        panic!("six")
    };
    relations::block(&ctx, blocker, ada.id).await.unwrap();
    relations::block(&ctx, ada, blocked.id).await.unwrap();
    relations::mute(&ctx, muter, ada.id).await.unwrap();
    sqlx::query("UPDATE users SET deleted_at = now() WHERE id = $1")
        .bind(gone.id.0)
        .execute(&ctx.db)
        .await
        .unwrap();
    let post = given::write(&ctx, ada, "hello all").await.id;
    let mut notices: Vec<Notice> = people
        .iter()
        .map(|to| notice(to, ada, Kind::Mention, Some(post)))
        .collect();
    notices.extend(notices.clone());
    assert_eq!(tell(&ctx, &notices).await, [bob.id]);
    assert_eq!(tell(&ctx, &notices).await, []);
    assert_eq!(tell(&ctx, &[]).await, []);
    for person in &people {
        let count = usize::from(person == bob);
        assert_eq!(shown(&ctx, person).await, (count, count));
    }
    // Another deed, another notification; and what is rolled back was never told.
    let deeds = [Kind::Reply, Kind::Like].map(|kind| notice(bob, ada, kind, Some(post)));
    assert_eq!(tell(&ctx, &deeds).await, [bob.id]);
    let mut tx = ctx.db.begin().await.unwrap();
    let follow = notice(bob, ada, Kind::Follow, None);
    let told = notifications::notify(&mut tx, &[follow]).await.unwrap();
    assert_eq!(told, [bob.id]);
    tx.rollback().await.unwrap();
    assert_eq!(shown(&ctx, bob).await, (3, 3));
}

#[tokio::test]
async fn a_notification_says_who_did_what_to_which_post() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (member(&ctx, "ada").await.user, given::author(&ctx).await);
    let long = given::write(&ctx, &ada, &"é".repeat(141)).await.id;
    let brief = given::write(&ctx, &ada, &"é".repeat(140)).await.id;
    for (kind, post) in [
        (Kind::Like, Some(long)),
        (Kind::Repost, Some(brief)),
        (Kind::Follow, None),
    ] {
        tell(&ctx, &[notice(&ada, &bob, kind, post)]).await;
    }
    let list = list(&ctx, &ada).await;
    let kinds: Vec<Kind> = list.iter().map(|item| item.kind).collect();
    assert_eq!(
        kinds,
        [Kind::Follow, Kind::Repost, Kind::Like],
        "newest first"
    );
    for item in &list {
        assert_eq!(
            (item.actor.id, &item.actor.username),
            (bob.id, &bob.username)
        );
        assert!(!item.read);
    }
    assert_eq!(list[0].post, None);
    let of = |item: &NotificationView| item.post.clone().unwrap();
    assert_eq!(of(&list[1]).id, brief);
    assert_eq!(of(&list[1]).excerpt, "é".repeat(140));
    assert_eq!(of(&list[2]).excerpt, format!("{}…", "é".repeat(139)));
}

#[tokio::test]
async fn what_is_not_to_be_seen_any_more_is_left_out_and_not_counted() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    let mut others = Vec::new();
    for name in ["blocked", "blocker", "muted", "goes", "stays"] {
        let session = member(&ctx, name).await;
        let post = given::write(&ctx, &session.user, "hello").await.id;
        tell(
            &ctx,
            &[notice(&ada, &session.user, Kind::Mention, Some(post))],
        )
        .await;
        others.push((session, post));
    }
    let [blocked, blocker, muted, goes, stays] = &others[..] else {
        panic!("five")
    };
    assert_eq!(shown(&ctx, &ada).await, (5, 5));
    relations::mute(&ctx, &ada, muted.0.user.id).await.unwrap();
    assert_eq!(shown(&ctx, &ada).await, (4, 4));
    relations::block(&ctx, &ada, blocked.0.user.id)
        .await
        .unwrap();
    assert_eq!(shown(&ctx, &ada).await, (3, 3));
    relations::block(&ctx, &blocker.0.user, ada.id)
        .await
        .unwrap();
    assert_eq!(shown(&ctx, &ada).await, (2, 2));
    users::delete(&ctx, &goes.0, goes.0.user.id).await.unwrap();
    assert_eq!(shown(&ctx, &ada).await, (1, 1));
    assert_eq!(list(&ctx, &ada).await[0].actor.username, "stays");
    posts::delete(&ctx, &stays.0.user, stays.1).await.unwrap();
    assert_eq!(shown(&ctx, &ada).await, (0, 0));
    // A mute only hides; a block is for good.
    relations::unmute(&ctx, &ada, muted.0.user.id)
        .await
        .unwrap();
    relations::unblock(&ctx, &ada, blocked.0.user.id)
        .await
        .unwrap();
    let left = list(&ctx, &ada).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].actor.username, "muted");
}

#[tokio::test]
async fn reading_up_to_a_number_leaves_what_is_newer_unread() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let ctx = testing::replica(&database, &redis);
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    for _ in 0..5 {
        let post = given::write(&ctx, &bob, "@ada").await.id;
        tell(&ctx, &[notice(&ada, &bob, Kind::Mention, Some(post))]).await;
    }
    tell(&ctx, &[notice(&bob, &ada, Kind::Follow, None)]).await;
    let mut ears = Ears::open(&redis).await;
    let ids: Vec<i64> = list(&ctx, &ada).await.iter().map(|item| item.id).collect();
    let user = ada.id;
    for _ in 0..2 {
        let unread = notifications::mark_read(&ctx, user, Some(ids[2])).await;
        assert_eq!(unread.unwrap(), 2);
        assert_eq!(shown(&ctx, &ada).await, (5, 2));
    }
    assert_eq!(notifications::mark_read(&ctx, user, None).await.unwrap(), 0);
    assert_eq!(shown(&ctx, &ada).await, (5, 0));
    assert_eq!(shown(&ctx, &bob).await, (1, 1), "that is bob's own affair");
    // Whoever marks what was marked already tells nobody.
    for unread in [2, 0] {
        let (heard, id) = (ears.hear().await, None);
        assert_eq!(heard, Event::Notification { user, id, unread });
    }
    let post = given::write(&ctx, &bob, "@ada again").await.id;
    let told = tell(&ctx, &[notice(&ada, &bob, Kind::Mention, Some(post))]).await;
    notifications::announce(&ctx, told).await;
    let newest = list(&ctx, &ada).await[0].id;
    let (id, unread) = (Some(newest), 1);
    assert_eq!(ears.hear().await, Event::Notification { user, id, unread });
}

#[tokio::test]
async fn a_page_is_one_statement_however_long_it_is() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    for _ in 0..4 {
        let actor = given::author(&ctx).await;
        given::backlog(&ctx, &actor, 50).await;
    }
    sqlx::query(
        "INSERT INTO notifications (user_id, kind, actor_id, post_id)
         SELECT $1, 'mention', user_id, id FROM posts ORDER BY id",
    )
    .bind(ada.id.0)
    .execute(&ctx.db)
    .await
    .unwrap();
    let statements = Statements::watch();
    let (mut seen, mut before) = (Vec::new(), None);
    for size in [1, 10, 89, 100] {
        let limit = Limit::parse(size).unwrap();
        let page = notifications::list(&ctx, &ada, before, limit)
            .await
            .unwrap();
        assert_eq!(page.items.len(), limit.get());
        assert_eq!(statements.take(""), 1, "a page of {size}");
        seen.extend(page.items.iter().map(|item| item.id));
        before = page.next;
    }
    assert_eq!(before, None);
    assert!(seen.is_sorted_by(|a, b| a > b));
    assert_eq!(notifications::unread(&ctx, ada.id).await.unwrap(), 200);
    assert_eq!(statements.take(""), 1);
    notifications::announce(&ctx, vec![ada.id, seen_by(&ctx).await]).await;
    assert_eq!(statements.take("FROM notifications"), 1);
}

async fn seen_by(ctx: &Ctx) -> UserId {
    given::author(ctx).await.id
}

#[tokio::test]
async fn very_many_unread_ones_are_counted_as_many() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    given::backlog(&ctx, &bob, 1_200).await;
    sqlx::query(
        "INSERT INTO notifications (user_id, kind, actor_id, post_id)
         SELECT $1, 'mention', user_id, id FROM posts",
    )
    .bind(ada.id.0)
    .execute(&ctx.db)
    .await
    .unwrap();
    let unread = notifications::unread(&ctx, ada.id).await.unwrap();
    assert_eq!(unread, MAX_UNREAD);
    let unread = notifications::mark_read(&ctx, ada.id, None).await.unwrap();
    assert_eq!(unread, 0);
}

#[tokio::test]
async fn old_notifications_are_removed_some_at_a_time() {
    let mut ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    given::backlog(&ctx, &bob, 2_500).await;
    let now = Clock::System.now();
    sqlx::query(
        "INSERT INTO notifications (user_id, kind, actor_id, post_id, created_at)
         SELECT $1, 'mention', user_id, id, $2 FROM posts ORDER BY id",
    )
    .bind(ada.id.0)
    .bind(now)
    .execute(&ctx.db)
    .await
    .unwrap();
    let second = chrono::Duration::seconds(1);
    ctx.clock = Clock::Fixed(now + KEPT - second);
    assert_eq!(notifications::purge_old(&ctx).await.unwrap(), 0);
    ctx.clock = Clock::Fixed(now + KEPT + second);
    tell(&ctx, &[notice(&ada, &bob, Kind::Follow, None)]).await;
    sqlx::query("UPDATE notifications SET created_at = $1 WHERE kind = 'follow'")
        .bind(now + second + second)
        .execute(&ctx.db)
        .await
        .unwrap();
    for removed in [1_000, 1_000, 500, 0] {
        assert_eq!(notifications::purge_old(&ctx).await.unwrap(), removed);
    }
    assert_eq!(shown(&ctx, &ada).await, (1, 1), "the newer one is left");
}
