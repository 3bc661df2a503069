//! Which source names are one inode, and which of them already stands at the destination.
//! It must not know how a link is made.

use std::collections::HashMap;

use crate::entry::FileId;
use crate::path::RelPath;
use crate::task::Over;

/// Hard links seen so far. A group is forgotten when all its names were settled.
#[derive(Debug, Default)]
pub(super) struct Links {
    groups: HashMap<FileId, Group>,
}

#[derive(Debug)]
struct Group {
    /// Where the first name stands at the destination.
    leader: RelPath,
    state: State,
    waiting: Vec<Follower>,
    /// Names that the source says there are and that were not answered yet.
    unanswered: u32,
}

/// From `Pending` to `Done` or `Failed`; from `Failed` back to `Pending` with another leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    /// The inode at the destination is known where it was there before.
    Done(Option<FileId>),
    Failed,
}

/// A further name of an inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follower {
    /// The page that lists it.
    pub(super) page: u64,
    /// Its place there.
    pub(super) index: usize,
    /// What stands at the destination now.
    pub(super) over: Over,
    /// Which inode that is.
    pub(super) old: Option<FileId>,
}

/// What a name of an inode with several names is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The first one: its content is transferred.
    Leader,
    /// A further one: it becomes a link.
    Follower,
}

/// What is to be done with a follower.
#[derive(Debug)]
pub(super) enum Answer {
    /// It already is the leader's inode.
    Same,
    /// It becomes a link to this path.
    Link(RelPath),
    /// It waits until the leader is there.
    Wait,
    /// The leader failed; this one takes its place and its content is transferred.
    Lead,
}

impl Links {
    /// Takes note of a name and says what it is.
    pub(super) fn meet(&mut self, id: FileId, nlink: u32, path: impl FnOnce() -> RelPath) -> Part {
        if self.groups.contains_key(&id) {
            return Part::Follower;
        }
        let group = Group {
            leader: path(),
            state: State::Pending,
            waiting: Vec::new(),
            unanswered: nlink.saturating_sub(1),
        };
        self.groups.insert(id, group);
        Part::Leader
    }

    /// What is to be done with a further name. `Wait` keeps it until the leader is settled.
    pub(super) fn follow(&mut self, id: FileId, follower: Follower, path: RelPath) -> Answer {
        let Some(group) = self.groups.get_mut(&id) else { return Answer::Lead };
        let answer = match group.state {
            State::Pending => {
                group.waiting.push(follower);
                return Answer::Wait;
            }
            State::Done(known) if known.is_some() && known == follower.old => Answer::Same,
            State::Done(_) => Answer::Link(group.leader.clone()),
            State::Failed => {
                group.state = State::Pending;
                group.leader = path;
                Answer::Lead
            }
        };
        group.unanswered = group.unanswered.saturating_sub(1);
        if group.unanswered == 0 && group.waiting.is_empty() && group.state != State::Pending {
            self.groups.remove(&id);
        }
        answer
    }

    /// The leader stands at the destination; `known` is its inode where that was there before. Gives the followers that
    /// waited; each is to be asked again.
    pub(super) fn settle(&mut self, id: FileId, known: Option<FileId>) -> Vec<Follower> {
        let Some(group) = self.groups.get_mut(&id) else { return Vec::new() };
        group.state = State::Done(known);
        std::mem::take(&mut group.waiting)
    }

    /// The leader could not be transferred. Gives the followers that waited; each is to be asked again.
    pub(super) fn fail(&mut self, id: FileId) -> Vec<Follower> {
        let Some(group) = self.groups.get_mut(&id) else { return Vec::new() };
        group.state = State::Failed;
        std::mem::take(&mut group.waiting)
    }
}
