//! What two people are to each other.

use crate::ids::UserId;

/// What somebody is to the viewer. Whether they block the viewer is theirs to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relation {
    /// The viewer follows them.
    pub following: bool,
    /// They follow the viewer.
    pub followed_by: bool,
    /// The viewer blocks them.
    pub blocking: bool,
    /// The viewer mutes them.
    pub muting: bool,
}

/// One's own account and another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub own: UserId,
    pub other: UserId,
}
