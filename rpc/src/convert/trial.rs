//! Any bytes as a message with each kind of value that a peer may send. It must not know where they come from.

use std::fmt;

use blit_core::Error;
use blit_schema::session_capnp as schema;
use capnp::message::{Builder, Reader, ReaderOptions};
use capnp::serialize::{self, OwnedSegments};
use capnp::traits::Owned;

use super::{error_bytes, frame, spec, summary, told_error};
use crate::owners::{Mapped, Names, Told};

/// A value that was read, written and read, and what comes of it when that is done once more: both in words, which are the
/// same. The first time, words of errors are made fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What this program tells on of the bytes.
    pub told: String,
    /// What it tells on of that.
    pub again: String,
}

/// Takes `bytes` for a frame, a spec, a summary, a change and an error. What they are not is left out.
pub fn try_message(bytes: &[u8]) -> Vec<Trial> {
    let trials = [
        attempt::<schema::frame::Owned, _>(bytes, read_frame, |frame, to| {
            frame::write(frame, &mut Told::new(Names::NUMERIC), to);
        }),
        attempt::<schema::spec::Owned, _>(bytes, spec::read, spec::write),
        attempt::<schema::summary::Owned, _>(bytes, summary::read, summary::write),
        attempt::<schema::change::Owned, _>(bytes, summary::read_change, summary::write_change),
        told_error(bytes).ok().map(|first| {
            let told = told_error(&error_bytes(&first)).ok();
            let again = told.as_ref().and_then(|told| told_error(&error_bytes(told)).ok());
            Trial { told: words(&told), again: words(&again) }
        }),
    ];
    trials.into_iter().flatten().collect()
}

fn read_frame(from: schema::frame::Reader<'_>) -> Result<blit_core::frame::Frame, Error> {
    // Whoever sends it is to be told how much it would take, whatever it is.
    drop(frame::burden(from));
    let read = frame::read(from, &mut Mapped::new(Names::NUMERIC))?;
    assert!(frame::weight(&read) > 0, "each frame takes room");
    Ok(read)
}

fn attempt<T: Owned, V: fmt::Debug>(
    bytes: &[u8],
    read: impl Fn(T::Reader<'_>) -> Result<V, Error>,
    write: impl Fn(&V, T::Builder<'_>),
) -> Option<Trial> {
    let retell = |value: &V| {
        let mut written = Builder::new_default();
        write(value, written.init_root());
        let again = message(&serialize::write_message_to_words(&written))?;
        read(root::<T>(&again)?).ok()
    };
    let first = read(root::<T>(&message(bytes)?)?).ok()?;
    let told = retell(&first);
    let again = told.as_ref().and_then(&retell);
    Some(Trial { told: words(&told), again: words(&again) })
}

fn message(mut bytes: &[u8]) -> Option<Reader<OwnedSegments>> {
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(WORDS_MAX)).nesting_limit(NESTING_MAX);
    serialize::read_message(&mut bytes, options).ok()
}

fn root<T: Owned>(message: &Reader<OwnedSegments>) -> Option<T::Reader<'_>> {
    message.get_root::<T::Reader<'_>>().ok()
}

/// Causes of errors have different types with the same words; all else is equal to the letter.
fn words(value: &impl fmt::Debug) -> String {
    format!("{value:?}").replace("Why(", "").replace(')', "")
}

/// As much as any of what is tried has: 512 KiB.
const WORDS_MAX: usize = 1 << 16;
/// As on a connection.
const NESTING_MAX: i32 = 16;
