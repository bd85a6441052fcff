//! `loadtest seed` on a PostgreSQL of its own with the real migrations.

use domain::testing;
use loadtest::seed::{self, SeedArgs};
use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

async fn database() -> (String, PgConnection) {
    let config = testing::database().await;
    let url = config.database_url.expose_secret().to_owned();
    let db = PgConnection::connect(&url).await.unwrap();
    (url, db)
}

fn args(url: &str, people: i64, posts: i64) -> SeedArgs {
    SeedArgs {
        quiet: true,
        ..SeedArgs::new(url.to_owned(), people, posts)
    }
}

async fn number(db: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(db)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// What the triggers would have written, counted anew; each must be 0.
const DIFFERENCES: [&str; 10] = [
    "SELECT count(*) FROM posts p FULL JOIN post_analysis a ON a.post_id = p.id
     WHERE p.id IS NULL OR a.post_id IS NULL OR a.status <> 'done' OR a.revision <> p.revision",
    "SELECT count(*) FROM (SELECT post_id, count(*) AS n FROM likes GROUP BY 1) l
     FULL JOIN post_counts c USING (post_id) WHERE coalesce(l.n, 0) <> coalesce(c.likes, 0)",
    "SELECT count(*) FROM (SELECT reply_to AS post_id, count(*) AS n FROM posts WHERE reply_to IS NOT NULL GROUP BY 1) r
     FULL JOIN post_counts c USING (post_id) WHERE coalesce(r.n, 0) <> coalesce(c.replies, 0)",
    "SELECT count(*) FROM posts p JOIN posts a ON a.id = p.reply_to
     WHERE p.thread_id <> coalesce(a.thread_id, a.id) OR a.id >= p.id OR a.created_at > p.created_at",
    "SELECT count(*) FROM posts p WHERE reply_to IS NOT NULL AND NOT EXISTS (SELECT FROM posts a WHERE a.id = p.reply_to)",
    "SELECT count(*) FROM (SELECT followed_id AS user_id, count(*) AS n FROM follows GROUP BY 1) f
     FULL JOIN user_counts c USING (user_id) WHERE coalesce(f.n, 0) <> coalesce(c.followers, 0)",
    "SELECT count(*) FROM (SELECT follower_id AS user_id, count(*) AS n FROM follows GROUP BY 1) f
     FULL JOIN user_counts c USING (user_id) WHERE coalesce(f.n, 0) <> coalesce(c.followed, 0)",
    "SELECT count(*) FROM (SELECT post_id, unnest(topics) AS topic FROM post_analysis) a
     FULL JOIN post_topics t USING (post_id, topic) WHERE a.post_id IS NULL OR t.post_id IS NULL",
    "SELECT count(*) FROM post_tags t LEFT JOIN posts p ON p.id = t.post_id AND p.content LIKE '#' || t.tag || ' %'
     WHERE p.id IS NULL",
    "SELECT count(*) FROM posts p LEFT JOIN users u ON u.id = p.user_id WHERE u.id IS NULL OR p.created_at > now()",
];

async fn assert_in_agreement(db: &mut PgConnection) {
    for sql in DIFFERENCES {
        assert_eq!(number(db, sql).await, 0, "{sql}");
    }
}

async fn indexes(db: &mut PgConnection) -> Vec<(String, String, String)> {
    sqlx::query_as(
        "SELECT c.relname::text, pg_get_indexdef(c.oid), coalesce((SELECT string_agg(a.attnum || '=' || a.attstattarget, ' ')
             FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0), '')
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' ORDER BY 1",
    )
    .fetch_all(db)
    .await
    .unwrap()
}

#[tokio::test]
async fn what_is_seeded_agrees_is_topped_up_and_is_gone_on_from() {
    let (url, mut db) = database().await;
    seed::run(&args(&url, 300, 2_000)).await.unwrap();
    assert_eq!(number(&mut db, "SELECT count(*) FROM posts").await, 2_000);
    assert_eq!(number(&mut db, "SELECT count(*) FROM users").await, 300);
    assert_in_agreement(&mut db).await;

    // The service goes on: its next post has the next number and what the triggers write.
    let id = number(
        &mut db,
        "INSERT INTO posts (user_id, content) VALUES (1, 'after the seed') RETURNING id",
    )
    .await;
    assert_eq!(id, 2_001);
    db.execute("UPDATE post_analysis SET status = 'done', polarity = 'neutral', score = 0, confidence = 1, safety = 'ok',
                explanation = '', model = 'test', finished_at = now() WHERE post_id = 2001")
        .await
        .unwrap();
    let user = number(
        &mut db,
        "INSERT INTO users (username, password_hash) VALUES ('somebody', '') RETURNING id",
    )
    .await;
    assert_eq!(user, 301);

    // More is added to it, and twice the same is once.
    for _ in 0..2 {
        seed::run(&args(&url, 400, 5_000)).await.unwrap();
        assert_eq!(number(&mut db, "SELECT count(*) FROM posts").await, 5_000);
        assert_eq!(number(&mut db, "SELECT count(*) FROM users").await, 401);
        assert_in_agreement(&mut db).await;
    }
    // Newer posts have larger numbers, which is what timelines are sorted by.
    let unsorted = "SELECT count(*) FROM (SELECT created_at < lag(created_at) OVER (ORDER BY id) AS back FROM posts) p WHERE back";
    assert_eq!(number(&mut db, unsorted).await, 0);
    let page = "SELECT count(*) FROM (SELECT p.id FROM posts p JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL
        JOIN post_analysis a ON a.post_id = p.id WHERE p.deleted_at IS NULL AND p.repost_of IS NULL
        AND p.content <> '' ORDER BY p.id DESC LIMIT 50) page";
    assert_eq!(number(&mut db, page).await, 50);
    let busiest = "SELECT max(n) FROM (SELECT count(*) AS n FROM posts GROUP BY user_id) a";
    assert!(
        number(&mut db, busiest).await > 100,
        "few write most of what is written"
    );
}

#[tokio::test]
async fn people_are_large_when_the_service_would_say_so() {
    let (url, mut db) = database().await;
    let args = SeedArgs {
        large_above: 100,
        ..args(&url, 300, 0)
    };
    seed::run(&args).await.unwrap();
    let large = "SELECT count(*) FROM user_counts WHERE is_large";
    assert!((3..10).contains(&number(&mut db, large).await));
    let wrong = "SELECT count(*) FROM user_counts WHERE is_large <> (followers > 100)";
    assert_eq!(number(&mut db, wrong).await, 0);
}

#[tokio::test]
async fn a_large_step_leaves_the_indexes_as_it_found_them_also_when_it_was_killed() {
    let (url, mut db) = database().await;
    let before = indexes(&mut db).await;
    assert!(
        before.iter().any(|(_, _, settings)| settings == "1=0"),
        "{before:?}"
    );
    // As a run does that is then killed: dropped and noted, and nothing made again.
    let mut quiet = loadtest::progress::Progress::new(true);
    seed::indexes::drop(&mut db, &mut quiet).await.unwrap();
    let during = indexes(&mut db).await;
    assert!(during.len() < before.len() - 8, "{during:?}");
    assert!(during.iter().any(|(name, _, _)| name == "posts_pkey"));
    // A second large step while they are away finds nothing more to drop.
    seed::indexes::drop(&mut db, &mut quiet).await.unwrap();
    seed::run(&args(&url, 50, 1_000)).await.unwrap();
    assert_eq!(indexes(&mut db).await, before);
    let schema = "SELECT count(*) FROM pg_namespace WHERE nspname = 'loadtest'";
    assert_eq!(number(&mut db, schema).await, 0);
}

#[tokio::test]
async fn a_database_that_is_not_linnets_is_refused() {
    let (url, mut db) = database().await;
    db.execute("DROP TABLE post_topics").await.unwrap();
    let error = seed::run(&args(&url, 10, 10)).await.unwrap_err();
    assert!(error.to_string().contains("migrations"), "{error}");
}
