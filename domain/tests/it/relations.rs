//! Follows, blocks and mutes: what each does, also many at once.

use deadpool_redis::redis;
use domain::{
    Ctx, Error,
    ids::UserId,
    live::Event,
    notifications,
    page::{Limit, Page},
    profiles::{self, Person},
    relations::{self, MAX_FOLLOWED, Relation},
    testing::{self, posts as given},
    users::User,
};
use tokio::task::JoinSet;

use crate::{people::Ears, statements::Statements};

const NOTHING: Relation = Relation {
    following: false,
    followed_by: false,
    blocking: false,
    muting: false,
};

fn names(page: &Page<Person>) -> Vec<&str> {
    let names = page.items.iter().map(|person| person.username.as_str());
    names.collect()
}

async fn followers(ctx: &Ctx, viewer: &User, of: &User) -> Page<Person> {
    relations::followers(ctx, Some(viewer.id), of.id, None, Limit::default())
        .await
        .unwrap()
}

async fn followed(ctx: &Ctx, viewer: &User, of: &User) -> Page<Person> {
    relations::followed(ctx, Some(viewer.id), of.id, None, Limit::default())
        .await
        .unwrap()
}

/// Followers and followed, as the profile says.
async fn figures(ctx: &Ctx, of: &User) -> (i64, i64) {
    let profile = profiles::get(ctx, None, of.id).await.unwrap();
    (profile.followers, profile.followed)
}

/// How many accounts have other figures than there are rows.
async fn miscounted(ctx: &Ctx) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM users u LEFT JOIN user_counts c ON c.user_id = u.id
         WHERE coalesce(c.followers, 0) <> (SELECT count(*) FROM follows WHERE followed_id = u.id)
             OR coalesce(c.followed, 0) <> (SELECT count(*) FROM follows WHERE follower_id = u.id)",
    )
    .fetch_one(&ctx.db)
    .await
    .unwrap()
}

fn is_no_such_user<T>(answer: domain::Result<T>) -> bool {
    matches!(answer, Err(Error::NotFound("user")))
}

#[tokio::test]
async fn following_is_done_once_counted_and_told() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    let following = Relation {
        following: true,
        ..NOTHING
    };
    for _ in 0..2 {
        let relation = relations::follow(&ctx, &ada, bob.id).await.unwrap();
        assert_eq!(relation, following);
        assert_eq!(figures(&ctx, &ada).await, (0, 1));
        assert_eq!(figures(&ctx, &bob).await, (1, 0));
        assert_eq!(notifications::unread(&ctx, bob.id).await.unwrap(), 1);
    }
    assert_eq!(names(&followers(&ctx, &ada, &bob).await), [&ada.username]);
    assert_eq!(names(&followed(&ctx, &bob, &ada).await), [&bob.username]);
    let seen_by_bob = followed(&ctx, &bob, &ada).await.items[0].relation;
    assert_eq!(seen_by_bob, None, "oneself");
    let ada_to_bob = followers(&ctx, &bob, &bob).await.items[0].relation.unwrap();
    assert!(ada_to_bob.followed_by && !ada_to_bob.following);
    for _ in 0..2 {
        let relation = relations::unfollow(&ctx, &ada, bob.id).await.unwrap();
        assert_eq!(relation, NOTHING);
        assert_eq!(figures(&ctx, &ada).await, (0, 0));
        assert_eq!(figures(&ctx, &bob).await, (0, 0));
    }
    relations::follow(&ctx, &ada, bob.id).await.unwrap();
    let told = notifications::list(&ctx, &bob, None, Limit::default()).await;
    assert_eq!(told.unwrap().items.len(), 1, "once is enough");
}

#[tokio::test]
async fn nobody_has_relations_to_themselves_or_to_nobody() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    macro_rules! each {
        ($($deed:ident)+) => {$(
            let refusal = relations::$deed(&ctx, &ada, ada.id).await.unwrap_err();
            assert!(matches!(refusal, Error::Invalid(_)), "{refusal}");
            for nobody in [0, -1, i64::MAX, ada.id.0 + 1] {
                assert!(is_no_such_user(relations::$deed(&ctx, &ada, UserId(nobody)).await));
            }
        )+};
    }
    each!(follow unfollow block unblock mute unmute);
    let nobody = UserId(ada.id.0 + 1);
    let limit = Limit::default();
    assert!(is_no_such_user(
        relations::followers(&ctx, None, nobody, None, limit).await
    ));
    assert!(is_no_such_user(
        relations::followed(&ctx, None, nobody, None, limit).await
    ));
}

#[tokio::test]
async fn a_block_parts_two_people_and_hides_each_from_the_other() {
    let ctx = testing::ctx().await;
    let (ada, bob, eve) = (
        given::author(&ctx).await,
        given::author(&ctx).await,
        given::author(&ctx).await,
    );
    for (one, other) in [(&ada, &bob), (&bob, &ada), (&ada, &eve), (&bob, &eve)] {
        relations::follow(&ctx, one, other.id).await.unwrap();
    }
    for _ in 0..2 {
        let relation = relations::block(&ctx, &ada, bob.id).await.unwrap();
        let blocking = Relation {
            blocking: true,
            ..NOTHING
        };
        assert_eq!(relation, blocking);
    }
    assert_eq!(miscounted(&ctx).await, 0);
    assert_eq!(figures(&ctx, &ada).await, (0, 1), "eve is left");
    for person in [&ada, &bob] {
        let told = notifications::list(&ctx, person, None, Limit::default()).await;
        assert_eq!(told.unwrap().items, []);
        assert_eq!(notifications::unread(&ctx, person.id).await.unwrap(), 0);
    }
    // Bob is told that there is no ada, whatever he tries.
    assert!(is_no_such_user(
        profiles::get(&ctx, Some(bob.id), ada.id).await
    ));
    let by_name = profiles::by_name(&ctx, Some(bob.id), &ada.username);
    assert!(is_no_such_user(by_name.await));
    assert!(is_no_such_user(relations::follow(&ctx, &bob, ada.id).await));
    assert!(is_no_such_user(
        relations::unfollow(&ctx, &bob, ada.id).await
    ));
    assert!(is_no_such_user(relations::mute(&ctx, &bob, ada.id).await));
    let limit = Limit::default();
    let (by_bob, of_ada) = (Some(bob.id), ada.id);
    assert!(is_no_such_user(
        relations::followers(&ctx, by_bob, of_ada, None, limit).await
    ));
    assert!(is_no_such_user(
        relations::followed(&ctx, by_bob, of_ada, None, limit).await
    ));
    assert_eq!(names(&followers(&ctx, &bob, &eve).await), [&bob.username]);
    assert_eq!(
        profiles::people(&ctx, by_bob, &[of_ada, eve.id])
            .await
            .unwrap()
            .len(),
        1
    );
    // Ada sees him where she can take it back, and nowhere else.
    let profile = profiles::get(&ctx, Some(ada.id), bob.id).await.unwrap();
    assert!(profile.relation.unwrap().blocking);
    let blocked = relations::blocked(&ctx, &ada, None, limit).await.unwrap();
    assert_eq!(names(&blocked), [&bob.username]);
    assert_eq!(names(&followers(&ctx, &ada, &eve).await), [&ada.username]);
    let refusal = relations::follow(&ctx, &ada, bob.id).await.unwrap_err();
    assert!(matches!(refusal, Error::Forbidden(_)), "{refusal}");
    // Everybody else sees both.
    assert_eq!(followers(&ctx, &eve, &eve).await.items.len(), 2);
    for limited in [&ada, &bob] {
        assert!(relations::has_limits(&ctx, limited.id).await.unwrap());
    }
    assert!(!relations::has_limits(&ctx, eve.id).await.unwrap());

    // Bob may block in turn; what he does not see is his to end all the same.
    relations::block(&ctx, &bob, ada.id).await.unwrap();
    assert_eq!(
        names(&relations::blocked(&ctx, &bob, None, limit).await.unwrap()),
        [&ada.username]
    );
    assert_eq!(
        relations::unblock(&ctx, &bob, ada.id).await.unwrap(),
        NOTHING
    );
    for _ in 0..2 {
        assert_eq!(
            relations::unblock(&ctx, &ada, bob.id).await.unwrap(),
            NOTHING
        );
    }
    profiles::get(&ctx, Some(bob.id), ada.id).await.unwrap();
    relations::follow(&ctx, &bob, ada.id).await.unwrap();
    assert_eq!(miscounted(&ctx).await, 0);
}

#[tokio::test]
async fn a_mute_is_done_once_and_nobody_learns_of_it() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    relations::follow(&ctx, &bob, ada.id).await.unwrap();
    assert_eq!(notifications::unread(&ctx, ada.id).await.unwrap(), 1);
    for _ in 0..2 {
        let relation = relations::mute(&ctx, &ada, bob.id).await.unwrap();
        let muting = Relation {
            muting: true,
            followed_by: true,
            ..NOTHING
        };
        assert_eq!(relation, muting);
    }
    assert_eq!(notifications::unread(&ctx, ada.id).await.unwrap(), 0);
    let seen = profiles::get(&ctx, Some(bob.id), ada.id).await.unwrap();
    let following = Relation {
        following: true,
        ..NOTHING
    };
    assert_eq!(seen.relation, Some(following));
    let muted = relations::muted(&ctx, &ada, None, Limit::default()).await;
    assert_eq!(names(&muted.unwrap()), [&bob.username]);
    for _ in 0..2 {
        let relation = relations::unmute(&ctx, &ada, bob.id).await.unwrap();
        assert!(!relation.muting);
    }
    assert_eq!(notifications::unread(&ctx, ada.id).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_right_after_many_follows_at_once() {
    let ctx = testing::ctx().await;
    let mut people = Vec::new();
    for _ in 0..12 {
        people.push(given::author(&ctx).await);
    }
    // Everybody follows everybody, twice, in both directions at the same time.
    let mut deeds = JoinSet::new();
    for one in &people {
        for other in people.iter().filter(|other| other.id != one.id) {
            for _ in 0..2 {
                let (ctx, one, other) = (ctx.clone(), one.clone(), other.id);
                deeds.spawn(async move { relations::follow(&ctx, &one, other).await });
            }
        }
    }
    while let Some(deed) = deeds.join_next().await {
        deed.unwrap().unwrap();
    }
    for person in &people {
        assert_eq!(figures(&ctx, person).await, (11, 11));
        assert_eq!(notifications::unread(&ctx, person.id).await.unwrap(), 11);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_block_each_other_while_they_follow_each_other_wait_in_one_line() {
    let ctx = testing::ctx().await;
    for _ in 0..10 {
        let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
        let mut deeds = JoinSet::new();
        for (one, other) in [(&ada, &bob), (&bob, &ada)] {
            let (ctx, one, other) = (ctx.clone(), one.clone(), other.id);
            deeds.spawn(async move {
                let (follow, block) = tokio::join!(
                    relations::follow(&ctx, &one, other),
                    relations::block(&ctx, &one, other)
                );
                block.unwrap();
                // Too late, or undone by the block.
                let refused = matches!(follow, Err(Error::NotFound(_) | Error::Forbidden(_)));
                assert!(follow.is_ok() || refused);
            });
        }
        while let Some(deed) = deeds.join_next().await {
            deed.unwrap();
        }
        for person in [&ada, &bob] {
            assert_eq!(figures(&ctx, person).await, (0, 0));
            assert_eq!(notifications::unread(&ctx, person.id).await.unwrap(), 0);
        }
    }
    assert_eq!(miscounted(&ctx).await, 0);
}

#[tokio::test]
async fn nobody_follows_more_people_than_a_timeline_can_hold() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    sqlx::query("INSERT INTO users (username, password_hash) SELECT 'user' || n, '' FROM generate_series(1, $1) AS n")
        .bind(MAX_FOLLOWED + 1)
        .execute(&ctx.db)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO follows (follower_id, followed_id)
         SELECT $1, id FROM users WHERE id <> $1 ORDER BY id LIMIT $2",
    )
    .bind(ada.id.0)
    .bind(MAX_FOLLOWED - 1)
    .execute(&ctx.db)
    .await
    .unwrap();
    assert_eq!(figures(&ctx, &ada).await, (0, i64::from(MAX_FOLLOWED) - 1));
    // Of two at once for the last place one gets it.
    let last = UserId(ada.id.0 + i64::from(MAX_FOLLOWED));
    let (one, other) = tokio::join!(
        relations::follow(&ctx, &ada, last),
        relations::follow(&ctx, &ada, UserId(last.0 + 1))
    );
    let (kept, refusal) = match (one, other) {
        (Ok(_), Err(refusal)) => (last, refusal),
        (Err(refusal), Ok(_)) => (UserId(last.0 + 1), refusal),
        both => panic!("{both:?}"),
    };
    assert!(matches!(refusal, Error::Conflict(_)), "{refusal}");
    relations::follow(&ctx, &ada, kept).await.unwrap();
    assert_eq!(figures(&ctx, &ada).await, (0, i64::from(MAX_FOLLOWED)));
    relations::unfollow(&ctx, &ada, kept).await.unwrap();
    relations::follow(&ctx, &ada, last).await.unwrap();
}

#[tokio::test]
async fn lists_are_walked_page_by_page_in_a_fixed_number_of_statements() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        let person = given::author(&ctx).await;
        relations::follow(&ctx, &person, ada.id).await.unwrap();
        relations::follow(&ctx, &ada, person.id).await.unwrap();
        relations::mute(&ctx, &ada, person.id).await.unwrap();
        ids.push(person.id.0);
    }
    ids.reverse();
    let statements = Statements::watch();
    let limit = Limit::parse(3).unwrap();
    macro_rules! walk {
        ($statements:literal, $list:ident $(, $viewer:expr)*) => {
            let (mut seen, mut before) = (Vec::new(), None);
            loop {
                let page = relations::$list(&ctx, $($viewer,)* before, limit).await.unwrap();
                assert_eq!(statements.take(""), $statements);
                seen.extend(page.items.iter().map(|person| person.id.0));
                before = page.next;
                if before.is_none() { break }
            }
            assert_eq!(seen, ids);
            // A full page asks no more than a small one.
            let full = Limit::parse(100).unwrap();
            let page = relations::$list(&ctx, $($viewer,)* None, full).await.unwrap();
            assert_eq!((page.items.len(), statements.take("")), (10, $statements));
        };
    }
    walk!(2, followers, Some(ada.id), ada.id);
    walk!(2, followed, None, ada.id);
    walk!(1, muted, &ada);
    for person in &ids {
        relations::block(&ctx, &ada, UserId(*person)).await.unwrap();
    }
    statements.take("");
    walk!(1, blocked, &ada);
    profiles::get(&ctx, Some(ada.id), UserId(ids[0]))
        .await
        .unwrap();
    assert_eq!(statements.take(""), 1);
    profiles::by_name(&ctx, None, &ada.username).await.unwrap();
    assert_eq!(statements.take(""), 1);
}

#[tokio::test]
async fn open_pages_are_told_and_home_timelines_are_made_anew() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let ctx = testing::replica(&database, &redis);
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    let mut ears = Ears::open(&redis).await;
    let mut connection = ctx.redis.patient_connection().await.unwrap();
    let timelines = [&ada, &bob].map(|user| ctx.redis.key(&format!("tl:{}", user.id)));
    let mut keep = async || {
        let mut pipe = redis::pipe();
        for key in &timelines {
            pipe.cmd("SET").arg(key).arg("x").ignore();
        }
        pipe.exec_async(&mut connection).await.unwrap();
    };
    let mut connection = ctx.redis.patient_connection().await.unwrap();
    let mut kept = async || {
        let mut kept = Vec::new();
        for key in &timelines {
            let mut exists = redis::cmd("EXISTS");
            let there: bool = exists.arg(key).query_async(&mut connection).await.unwrap();
            kept.push(there);
        }
        kept
    };
    let relation = |user: &User| format!("{:?}", Event::Relation { viewer: user.id });
    let unread = |user: &User, id, unread| {
        let user = user.id;
        format!("{:?}", Event::Notification { user, id, unread })
    };

    keep().await;
    relations::follow(&ctx, &ada, bob.id).await.unwrap();
    assert_eq!(kept().await, [false, true]);
    let told = notifications::list(&ctx, &bob, None, Limit::default()).await;
    let id = told.unwrap().items[0].id;
    assert_eq!(
        ears.hear_all(2).await,
        [unread(&bob, Some(id), 1), relation(&ada)]
    );
    keep().await;
    relations::mute(&ctx, &bob, ada.id).await.unwrap();
    assert_eq!(kept().await, [true, false]);
    assert_eq!(
        ears.hear_all(2).await,
        [unread(&bob, None, 0), relation(&bob)]
    );
    relations::unmute(&ctx, &bob, ada.id).await.unwrap();
    assert_eq!(
        ears.hear_all(2).await,
        [unread(&bob, None, 1), relation(&bob)]
    );
    keep().await;
    relations::block(&ctx, &bob, ada.id).await.unwrap();
    assert_eq!(kept().await, [false, false]);
    let mut expected = [
        unread(&ada, None, 0),
        unread(&bob, None, 0),
        relation(&ada),
        relation(&bob),
    ];
    expected.sort();
    assert_eq!(ears.hear_all(4).await, expected);
    // What changes nothing tells nobody: the next event is that of the unblock.
    keep().await;
    relations::block(&ctx, &bob, ada.id).await.unwrap();
    assert_eq!(kept().await, [true, true]);
    relations::unblock(&ctx, &bob, ada.id).await.unwrap();
    let mut expected = [relation(&ada), relation(&bob)];
    expected.sort();
    assert_eq!(ears.hear_all(2).await, expected);
}
