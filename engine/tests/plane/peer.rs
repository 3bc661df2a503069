//! What a peer writes by hand: frames, honest or not.

use blit_core::header::{Header, Items};
use blit_core::stream::Ticket;
use xxhash_rust::xxh3::xxh3_64;

/// A frame with these items.
pub(crate) fn frame(ticket: u64, last: bool, items: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    items(&mut body);
    let digest = Some(xxh3_64(&body));
    let len = u32::try_from(body.len()).expect("small");
    let header = Header { ticket: Ticket(ticket), len, last, unpacked_len: None, digest };
    [&header.encode()[..], &body].concat()
}

/// The only frame of a ticket.
pub(crate) fn only(ticket: u64, items: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    frame(ticket, true, items)
}

pub(crate) fn file(body: &mut Vec<u8>, index: u32, content: &[u8]) {
    Items(body).file(index, content.len());
    body.extend_from_slice(content);
}

pub(crate) fn piece(body: &mut Vec<u8>, index: u32, offset: u64, content: &[u8]) {
    Items(body).piece(index, offset, content.len());
    body.extend_from_slice(content);
}

pub(crate) fn end(body: &mut Vec<u8>, index: u32) {
    Items(body).end(index);
}
