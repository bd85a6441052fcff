//! Profiles: what people say of themselves, and how it is seen.

use domain::{
    Error,
    page::Limit,
    posts::{self, PostView},
    profiles::{self, Bio, DisplayName, ProfileChange},
    testing::{self, posts as given},
    users,
};

use crate::people::member;

fn change(display_name: Option<&str>, bio: Option<&str>) -> ProfileChange {
    ProfileChange {
        display_name: display_name.map(|name| DisplayName::parse(name).unwrap()),
        bio: bio.map(|bio| Bio::parse(bio).unwrap()),
    }
}

#[tokio::test]
async fn what_is_not_given_stays_as_it_is() {
    let ctx = testing::ctx().await;
    let ada = member(&ctx, "ada").await;
    given::write(&ctx, &ada.user, "one").await;
    let profile = profiles::by_name(&ctx, None, "ADA").await.unwrap();
    assert_eq!(
        (profile.display_name.as_str(), profile.bio.as_str()),
        ("", "")
    );
    assert_eq!(
        (profile.followers, profile.followed, profile.posts),
        (0, 0, 1)
    );
    assert_eq!(profile.relation, None);
    for (given, name, bio) in [
        (change(Some("Ada L."), None), "Ada L.", ""),
        (
            change(None, Some("engines\nnotes")),
            "Ada L.",
            "engines\nnotes",
        ),
        (change(Some(" "), None), "", "engines\nnotes"),
        (change(Some("Ada"), Some("")), "Ada", ""),
        (change(None, None), "Ada", ""),
    ] {
        let changed = profiles::update(&ctx, &ada, given).await.unwrap();
        assert_eq!(
            (changed.display_name.as_str(), changed.bio.as_str()),
            (name, bio)
        );
        let seen = profiles::get(&ctx, None, ada.user.id).await.unwrap();
        assert_eq!(seen, changed);
    }
}

#[tokio::test]
async fn a_new_display_name_makes_a_new_feed_and_another_bio_does_not() {
    fn render(posts: &[PostView]) -> Vec<u8> {
        format!("{} at {:?}", posts.len(), std::time::Instant::now()).into_bytes()
    }
    let ctx = testing::ctx().await;
    let ada = member(&ctx, "ada").await;
    given::write(&ctx, &ada.user, "one").await;
    let feed = async || {
        let page = posts::feed(&ctx, None, None, Limit::default(), render)
            .await
            .unwrap();
        page.body.clone()
    };
    let first = feed().await;
    profiles::update(&ctx, &ada, change(Some("Ada"), None))
        .await
        .unwrap();
    let second = feed().await;
    assert_ne!(first, second);
    profiles::update(&ctx, &ada, change(Some("Ada"), Some("bio")))
        .await
        .unwrap();
    assert_eq!(feed().await, second, "the same name");
}

#[tokio::test]
async fn who_has_gone_has_no_profile_and_no_name_is_too_strange_to_look_for() {
    let ctx = testing::ctx().await;
    let ada = member(&ctx, "ada").await;
    profiles::update(&ctx, &ada, change(Some("Ada"), Some("bio")))
        .await
        .unwrap();
    users::delete(&ctx, &ada, ada.user.id).await.unwrap();
    for name in ["ada", "", "\0", "a\0b", "no one", "%", "' OR 1=1"] {
        let answer = profiles::by_name(&ctx, None, name).await;
        assert!(matches!(answer, Err(Error::NotFound("user"))), "{name:?}");
    }
    let answer = profiles::get(&ctx, None, ada.user.id).await;
    assert!(matches!(answer, Err(Error::NotFound("user"))));
    let answer = profiles::update(&ctx, &ada, change(None, Some("x"))).await;
    assert!(matches!(answer, Err(Error::NotFound("user"))));
    let left: (String, String) =
        sqlx::query_as("SELECT display_name, bio FROM users WHERE id = $1")
            .bind(ada.user.id.0)
            .fetch_one(&ctx.db)
            .await
            .unwrap();
    assert_eq!(left, (String::new(), String::new()));
    // The name is somebody else's now.
    let other = member(&ctx, "ada").await;
    let profile = profiles::by_name(&ctx, None, "ada").await.unwrap();
    assert_eq!(
        (profile.id, profile.display_name.as_str()),
        (other.user.id, "")
    );
}
