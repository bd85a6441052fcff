//! The indexes against what they are made from.

use super::*;
use proptest::prelude::*;
use uuid::Uuid;

const LIMITS: (usize, usize) = (1_000, 1_000);

#[derive(Clone, Debug)]
enum Step {
    Open(Option<i64>),
    Close(usize),
    Watch(usize, Vec<i64>),
    Know(i64, Vec<i64>, Vec<i64>),
    Outdate(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || proptest::collection::vec(1_i64..6, 0..5);
    prop_oneof![
        proptest::option::of(1_i64..4).prop_map(Step::Open),
        (0_usize..9).prop_map(Step::Close),
        (0_usize..9, ids()).prop_map(|(at, posts)| Step::Watch(at, posts)),
        (1_i64..4, ids(), ids()).prop_map(|(user, a, b)| Step::Know(user, a, b)),
        (1_i64..4).prop_map(Step::Outdate),
    ]
}

fn users(ids: &[i64]) -> Vec<UserId> {
    let ids: HashSet<i64> = ids.iter().copied().collect();
    ids.into_iter().map(UserId).collect()
}

fn viewer(user: i64) -> Viewer {
    Viewer {
        user: UserId(user),
        session: Uuid::nil(),
    }
}

/// That the indexes say what the streams and people say, and nothing else.
fn check(registry: &Registry) {
    for (author, readers) in &registry.readers {
        assert!(!readers.is_empty());
        for reader in readers {
            assert!(registry.people[reader].follows.contains(author));
        }
    }
    let follows: usize = registry
        .people
        .values()
        .map(|one| one.follows.len())
        .sum::<usize>();
    assert_eq!(
        follows,
        registry.readers.values().map(Vec::len).sum::<usize>()
    );
    for (post, watch) in &registry.watches {
        assert!(!watch.streams.is_empty());
        for stream in &watch.streams {
            assert!(registry.entries[&stream.number].watched.contains(post));
            if let Some(user) = stream.user() {
                assert!(!registry.people[&user].blocked.contains(&watch.author));
            }
        }
    }
    let watched: usize = registry
        .entries
        .values()
        .map(|one| one.watched.len())
        .sum::<usize>();
    let watchers = registry.watches.values().map(|watch| watch.streams.len());
    assert_eq!(watched, watchers.sum::<usize>());
    let streams: usize = registry
        .people
        .values()
        .map(|one| one.streams.len())
        .sum::<usize>();
    let entries = registry.entries.values();
    assert_eq!(
        streams,
        entries.filter(|one| one.stream.viewer.is_some()).count()
    );
    assert_eq!(
        registry.entries.len(),
        registry.callers.values().sum::<usize>()
    );
}

proptest! {
    #[test]
    fn the_indexes_follow_the_streams_and_are_empty_in_the_end(
        steps in proptest::collection::vec(step(), 0..60)
    ) {
        let mut registry = Registry::default();
        let mut open: Vec<Arc<Stream>> = Vec::new();
        for step in steps {
            match step {
                Step::Open(user) => {
                    let caller = user.map_or_else(|| "nobody".into(), |user| user.to_string());
                    let viewer = user.map(viewer);
                    let stream = registry.admit(viewer, Feed::Home, &caller, LIMITS);
                    open.push(stream.unwrap());
                }
                Step::Close(at) if at < open.len() => registry.remove(&open.swap_remove(at)),
                Step::Watch(at, posts) if at < open.len() => {
                    // The author of a post has its number.
                    let posts = posts.iter().map(|id| (PostId(*id), UserId(*id)));
                    registry.watch(&open[at], posts.collect());
                }
                Step::Know(user, follows, blocked) => {
                    let Some(version) = registry.unknown(UserId(user)) else { continue };
                    let audience = Audience {
                        viewer: UserId(user),
                        follows: users(&follows),
                        muted: Vec::new(),
                        blocked: users(&blocked),
                    };
                    registry.know(audience.clone(), version - 1);
                    prop_assert!(registry.unknown(UserId(user)).is_some(), "what was read before is old");
                    registry.know(audience, version);
                    prop_assert!(registry.unknown(UserId(user)).is_none());
                }
                Step::Outdate(user) => {
                    registry.outdate(Some(&HashSet::from([UserId(user)])));
                }
                _ => {}
            }
            check(&registry);
        }
        for stream in open {
            registry.remove(&stream);
        }
        prop_assert!(registry.is_empty() && registry.people.is_empty());
        prop_assert!(registry.readers.is_empty() && registry.watches.is_empty());
        prop_assert!(registry.callers.is_empty());
    }
}

#[test]
fn what_became_old_while_it_was_read_is_not_taken_for_new() {
    let mut registry = Registry::default();
    registry
        .admit(Some(viewer(1)), Feed::Home, "1", LIMITS)
        .unwrap();
    let read = registry.unknown(UserId(1)).unwrap();
    let versions = registry.outdate(None);
    assert_eq!(versions.len(), 1);
    let audience = Audience {
        viewer: UserId(1),
        follows: vec![UserId(2)],
        muted: Vec::new(),
        blocked: Vec::new(),
    };
    registry.know(audience.clone(), read);
    assert!(!registry.has_readers(UserId(2)));
    registry.know(audience, versions[&UserId(1)]);
    assert!(registry.has_readers(UserId(2)));
}
