//! Names that the destination takes for names of the source, though it spells them differently: they get the spelling of the
//! source, and are not what the source lacks. It must not touch what is under them.

use std::collections::HashMap;

use super::Destination;
use super::folder::digest;
use super::outcome::placed;
use super::work::Job;
use crate::entry::{Changes, Entry};
use crate::error::{Error, ErrorKind};
use crate::frame::DirId;
use crate::path::Name;
use crate::session::Actions;
use crate::summary::Action;
use crate::task::{Output, Step};

/// Entries of a page that wait for their spelling.
#[derive(Debug)]
pub(super) struct Respelling {
    /// What stands at the destination under the names of the page.
    existing: Vec<Entry>,
    /// How each of some names is to be spelt.
    spellings: Vec<Name>,
}

impl Destination {
    /// Goes on with a page when the names that stand at the destination are spelt as the source spells them.
    pub(super) fn spell(
        &mut self,
        page: u64,
        (dir, mut existing): (DirId, Vec<Entry>),
        out: &mut Actions,
    ) {
        let respelt = self.respelt(dir, &mut existing, out);
        let (steps, spellings): (Vec<Step>, Vec<Name>) = respelt
            .into_iter()
            .map(|(from, name)| (Step::Respell { from, name: name.clone() }, name))
            .unzip();
        let respelling = Respelling { existing, spellings };
        let to = self.folders.get(&dir).map(|folder| folder.to.clone());
        match to.filter(|_| !steps.is_empty() && !self.spec.dry_run) {
            Some(to) => self.put_place(Job::Respell { page, respelling }, to, steps),
            None => self.respelling_done(page, respelling, &[], out),
        }
    }

    /// The names got their spelling, or not: their content is dealt with all the same.
    pub(super) fn respelled(
        &mut self,
        page: u64,
        respelling: Respelling,
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        let failures = match placed(result) {
            Ok(placed) => placed.failures,
            Err(error) => (0..respelling.spellings.len()).map(|at| (at, error.clone())).collect(),
        };
        self.respelling_done(page, respelling, &failures, out);
    }

    fn respelling_done(
        &mut self,
        page: u64,
        respelling: Respelling,
        failures: &[(usize, Error)],
        out: &mut Actions,
    ) {
        let Respelling { existing, spellings } = respelling;
        for (place, name) in spellings.iter().enumerate() {
            if let Some((_, error)) = failures.iter().find(|(failed, _)| *failed == place) {
                self.fail(error.clone(), out);
                continue;
            }
            self.summary.renamed += 1;
            self.touch(page);
            let entries = self.pages.get(&page).map(|work| &work.listing.page);
            let index = entries.and_then(|page| page.iter().position(|entry| entry.name == *name));
            if let Some(index) = index {
                self.tell_entry(page, index, (Action::Renamed, Changes::default()), out);
            }
        }
        let plan = self.decide(page, existing);
        self.count_replaced(page, plan, out);
    }

    /// What stands there under another spelling, with the wanted one. It is not too much any more. Of two names of the
    /// source that are one there, the first has it, and the other finds nothing.
    fn respelt(
        &mut self,
        dir: DirId,
        existing: &mut Vec<Entry>,
        out: &mut Actions,
    ) -> Vec<(Name, Name)> {
        let Some(folder) = self.folders.get_mut(&dir).filter(|folder| folder.mirrored) else {
            return Vec::new();
        };
        let is_foreign = |entry: &Entry| !folder.standing.contains_key(&digest(&entry.name));
        if !existing.iter().any(is_foreign) {
            return Vec::new();
        }
        let standing = folder.standing.iter();
        let others = standing.filter(|(digest, _)| !folder.wanted.contains(digest));
        let mut others: HashMap<String, u64> =
            others.map(|(digest, name)| (folded(name), *digest)).collect();
        let (mut respelt, mut unknown) = (Vec::new(), 0);
        let mut taken = Vec::new();
        existing.retain(|entry| {
            if folder.standing.contains_key(&digest(&entry.name)) {
                return true;
            }
            let key = folded(&entry.name);
            match others.remove(&key).and_then(|digest| folder.standing.remove(&digest)) {
                Some(from) => {
                    taken.push(key);
                    respelt.push((from, entry.name.clone()));
                }
                None if taken.contains(&key) => return false,
                // Letters beyond ASCII have more than one spelling; any other name has come since the names were read.
                None => unknown += usize::from(!entry.name.as_bytes().is_ascii()),
            }
            true
        });
        if unknown > 0 && !others.is_empty() {
            // Which of the names that stand there is theirs cannot be told, so each of them may be.
            folder.complete = false;
            let why = format!(
                "{unknown} names of the source stand there in another spelling, so what looks like too much stays"
            );
            let error = Error::because(ErrorKind::Other, "remove in", &folder.to.shown(None), why);
            self.fail(error, out);
        }
        respelt
    }
}

/// A name as it compares without case.
pub(super) fn folded(name: &Name) -> String {
    String::from_utf8_lossy(name.as_bytes()).to_lowercase()
}
