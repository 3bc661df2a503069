//! What the two roles tell each other, as messages. Where an entry can be read does not travel.
//! It must not know which role may say what.

use blit_core::Error;
use blit_core::codec::{Decoder, Encoder, Malformed};
use blit_core::entry::Entry;
use blit_core::event::Event;
use blit_core::frame::{DirId, Frame, Listing, Need, PageNumber, Settled, Want};
use blit_core::path::Name;
use blit_core::session::schedule::PAGE_ENTRIES_MAX;
use blit_core::stream::{Part, Range, Slot, Ticket};
use blit_schema::session_capnp as schema;

use super::{error_bytes, narrow, protocol, summary, told_error, unreadable};
use crate::owners::{Mapped, Told};

/// Writes a frame. `told` knows which owners the peer has heard of.
pub(crate) fn write(frame: &Frame, told: &mut Told, mut to: schema::frame::Builder<'_>) {
    match frame {
        Frame::Listing(listing) => write_listing(listing, told, to.init_listing()),
        Frame::Unreadable(error) => to.set_unreadable(&error_bytes(error)),
        Frame::Scanned => to.set_scanned(()),
        Frame::Settled(settled) => {
            let mut to = to.init_settled();
            to.set_number(settled.number.0);
            to.set_entries(narrow(settled.entries));
            write_indices(&settled.kept, to.init_kept(narrow(settled.kept.len())));
        }
        Frame::Closed(dir, stands) => {
            let mut to = to.init_closed();
            to.set_dir(dir.0);
            to.set_stands(*stands);
        }
        Frame::Need(need) => write_need(need, to.init_need()),
        Frame::Sent(ticket, slot) => {
            let mut to = to.init_sent();
            to.set_ticket(ticket.0);
            to.set_on_stream(slot.is_some());
            to.set_slot(slot.map_or(0, |slot| slot.0));
        }
        Frame::Digest(want) => write_want(want, to.init_digest()),
        Frame::Digests(ticket, digests) => {
            let mut to = to.init_digests();
            to.set_ticket(ticket.0);
            to.set_count(narrow(digests.len()));
            to.set_digests(&digest_bytes(digests));
        }
        Frame::Finished(done) => summary::write(done, to.init_finished()),
        Frame::Failed(error) => to.set_failed(&error_bytes(error)),
    }
}

/// Reads a frame. `mapped` tells which numbers the peer's owners have here.
pub(crate) fn read(from: schema::frame::Reader<'_>, mapped: &mut Mapped) -> Result<Frame, Error> {
    use schema::frame::Which;
    Ok(match from.which().map_err(unreadable)? {
        Which::Listing(from) => Frame::Listing(read_listing(from.map_err(unreadable)?, mapped)?),
        Which::Unreadable(bytes) => Frame::Unreadable(told_error(bytes.map_err(unreadable)?)?),
        Which::Scanned(()) => Frame::Scanned,
        Which::Settled(from) => {
            let from = from.map_err(unreadable)?;
            let number = PageNumber(from.get_number());
            let entries = usize_of(from.get_entries());
            let kept = read_indices(from.get_kept().map_err(unreadable)?)?;
            if entries > PAGE_ENTRIES_MAX {
                return Err(protocol("the peer settled more entries than a page holds"));
            }
            Frame::Settled(Settled { number, entries, kept })
        }
        Which::Closed(from) => {
            let from = from.map_err(unreadable)?;
            Frame::Closed(DirId(from.get_dir()), from.get_stands())
        }
        Which::Need(from) => Frame::Need(read_need(from.map_err(unreadable)?)?),
        Which::Sent(from) => {
            let from = from.map_err(unreadable)?;
            let slot = from.get_on_stream().then_some(Slot(from.get_slot()));
            Frame::Sent(Ticket(from.get_ticket()), slot)
        }
        Which::Digest(from) => Frame::Digest(read_want(from.map_err(unreadable)?)?),
        Which::Digests(from) => {
            let from = from.map_err(unreadable)?;
            let bytes = from.get_digests().map_err(unreadable)?;
            let digests = read_digests(bytes, usize_of(from.get_count()))?;
            Frame::Digests(Ticket(from.get_ticket()), digests)
        }
        Which::Finished(from) => {
            Frame::Finished(Box::new(summary::read(from.map_err(unreadable)?)?))
        }
        Which::Failed(bytes) => Frame::Failed(told_error(bytes.map_err(unreadable)?)?),
    })
}

/// About how many bytes a frame takes, so that messages can be filled.
pub(crate) fn weight(frame: &Frame) -> usize {
    match frame {
        Frame::Listing(listing) => FRAME_BYTES + listing.page.len() * ENTRY_BYTES,
        Frame::Settled(settled) => FRAME_BYTES + settled.kept.len() * 4,
        Frame::Need(Need { want, part }) => {
            let known = match part {
                Part::Range(Range { known: Some(known), .. }) => known.len() * DIGEST_BYTES,
                Part::Whole | Part::Range(_) => 0,
            };
            FRAME_BYTES + want.picks.len() * 4 + known
        }
        Frame::Digest(want) => FRAME_BYTES + want.picks.len() * 4,
        Frame::Digests(_, digests) => FRAME_BYTES + digests.len() * (DIGEST_BYTES + 1),
        Frame::Unreadable(_)
        | Frame::Scanned
        | Frame::Closed(..)
        | Frame::Sent(..)
        | Frame::Finished(_)
        | Frame::Failed(_) => FRAME_BYTES,
    }
}

/// About how much memory a frame takes that is read from here.
pub(crate) fn burden(from: schema::frame::Reader<'_>) -> Result<usize, Error> {
    use schema::frame::Which;
    let more = match from.which().map_err(unreadable)? {
        Which::Listing(from) => {
            let bytes = from.and_then(|from| from.get_entries()).map_err(unreadable)?.len();
            // An entry takes a few bytes at least on its way.
            bytes + (bytes / ENTRY_BYTES_MIN).min(PAGE_ENTRIES_MAX) * size_of::<Entry>()
        }
        Which::Unreadable(bytes) | Which::Failed(bytes) => bytes.map_err(unreadable)?.len(),
        Which::Settled(from) => {
            let kept = from.and_then(|from| from.get_kept()).map_err(unreadable)?;
            usize_of(kept.len()) * size_of::<usize>()
        }
        Which::Need(from) => {
            let from = from.map_err(unreadable)?;
            let picks = from.get_want().and_then(|want| want.get_picks()).map_err(unreadable)?;
            usize_of(picks.len()) * size_of::<usize>() + from.get_known().map_err(unreadable)?.len()
        }
        Which::Digest(from) => {
            let picks = from.and_then(|from| from.get_picks()).map_err(unreadable)?;
            usize_of(picks.len()) * size_of::<usize>()
        }
        Which::Digests(from) => {
            2 * from.and_then(|from| from.get_digests()).map_err(unreadable)?.len()
        }
        Which::Scanned(()) | Which::Closed(_) | Which::Sent(_) | Which::Finished(_) => 0,
    };
    Ok(size_of::<Event>() + more)
}

fn write_listing(listing: &Listing, told: &mut Told, mut to: schema::listing::Builder<'_>) {
    to.set_dir(listing.dir.0);
    to.set_number(listing.number.0);
    to.set_first_child(listing.first_child.0);
    let mut bytes = Vec::new();
    if let Some(meta) = &listing.meta {
        Encoder(&mut bytes).meta(meta);
        to.set_meta(&bytes);
        bytes.clear();
    }
    Encoder(&mut bytes).entries(&listing.page);
    to.set_entries(&bytes);
    if let Some(name) = &listing.source_name {
        to.set_source_name(name.as_bytes());
    }
    to.set_last(listing.last);
    to.set_named(listing.named);
    to.set_complete(listing.complete);
    let (users, groups) = told.news(listing);
    let mut list = to.reborrow().init_users(narrow(users.len()));
    for (index, (id, name)) in (0..).zip(&users) {
        let mut owner = list.reborrow().get(index);
        owner.set_id(*id);
        owner.set_name(name);
    }
    let mut list = to.init_groups(narrow(groups.len()));
    for (index, (id, name)) in (0..).zip(&groups) {
        let mut owner = list.reborrow().get(index);
        owner.set_id(*id);
        owner.set_name(name);
    }
}

fn read_listing(from: schema::listing::Reader<'_>, mapped: &mut Mapped) -> Result<Listing, Error> {
    for (owners, is_group) in [(from.get_users(), false), (from.get_groups(), true)] {
        for owner in owners.map_err(unreadable)? {
            mapped.learn(is_group, owner.get_id(), &super::text(owner.get_name())?)?;
        }
    }
    let bytes = from.get_meta().map_err(unreadable)?;
    let mut meta = None;
    if !bytes.is_empty() {
        let mut decoder = Decoder(bytes);
        meta = Some(Box::new(decoder.meta()?));
        end(&decoder)?;
    }
    let mut decoder = Decoder(from.get_entries().map_err(unreadable)?);
    let mut entries = decoder.entries(PAGE_ENTRIES_MAX)?;
    end(&decoder)?;
    let metas = entries.iter_mut().map(|entry| &mut entry.meta);
    mapped.apply(metas.chain(meta.as_deref_mut()));
    let name = from.get_source_name().map_err(unreadable)?;
    let source_name = match name {
        [] => None,
        name => Some(Name::new(name).map_err(|_| Malformed)?),
    };
    Ok(Listing {
        dir: DirId(from.get_dir()),
        number: PageNumber(from.get_number()),
        meta,
        page: entries.into(),
        first_child: DirId(from.get_first_child()),
        from: None,
        source_name,
        last: from.get_last(),
        named: from.get_named(),
        complete: from.get_complete(),
    })
}

fn write_want(want: &Want, mut to: schema::want::Builder<'_>) {
    to.set_ticket(want.ticket.0);
    to.set_number(want.number.0);
    write_indices(&want.picks, to.init_picks(narrow(want.picks.len())));
}

fn read_want(from: schema::want::Reader<'_>) -> Result<Want, Error> {
    Ok(Want {
        ticket: Ticket(from.get_ticket()),
        number: PageNumber(from.get_number()),
        picks: read_indices(from.get_picks().map_err(unreadable)?)?,
    })
}

fn write_need(need: &Need, mut to: schema::need::Builder<'_>) {
    write_want(&need.want, to.reborrow().init_want());
    let Part::Range(Range { offset, len, known }) = &need.part else { return };
    to.set_is_range(true);
    to.set_offset(*offset);
    to.set_len(*len);
    if let Some(known) = known {
        let bytes: Vec<u8> = known.iter().flat_map(|digest| digest.to_le_bytes()).collect();
        to.set_has_known(true);
        to.set_known(&bytes);
    }
}

fn read_need(from: schema::need::Reader<'_>) -> Result<Need, Error> {
    let want = read_want(from.get_want().map_err(unreadable)?)?;
    if !from.get_is_range() {
        return Ok(Need { want, part: Part::Whole });
    }
    let (offset, len) = (from.get_offset(), from.get_len());
    let end = offset.checked_add(len);
    if end.is_none_or(|end| i64::try_from(end).is_err()) {
        return Err(protocol("the peer asked for a range that no file has"));
    }
    let mut known = None;
    if from.get_has_known() {
        let bytes = from.get_known().map_err(unreadable)?;
        let (digests, rest) = bytes.as_chunks::<DIGEST_BYTES>();
        if !rest.is_empty() || digests.len() > KNOWN_BLOCKS_MAX {
            return Err(protocol("the peer sent more digests than a range has blocks"));
        }
        known = Some(digests.iter().map(|digest| u128::from_le_bytes(*digest)).collect());
    }
    Ok(Need { want, part: Part::Range(Range { offset, len, known }) })
}

fn digest_bytes(digests: &[Result<u128, Error>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(digests.len() * (DIGEST_BYTES + 1));
    for digest in digests {
        match digest {
            Ok(digest) => {
                bytes.push(0);
                bytes.extend_from_slice(&digest.to_le_bytes());
            }
            Err(error) => {
                bytes.push(1);
                Encoder(&mut bytes).error(error);
            }
        }
    }
    bytes
}

fn read_digests(bytes: &[u8], count: usize) -> Result<Vec<Result<u128, Error>>, Error> {
    if count > PAGE_ENTRIES_MAX {
        return Err(protocol("the peer sent more digests than a page has entries"));
    }
    let mut decoder = Decoder(bytes);
    let mut digests = Vec::new();
    for _ in 0..count {
        digests.push(match decoder.byte()? {
            0 => {
                let digest = decoder.take(DIGEST_BYTES)?.first_chunk().ok_or(Malformed)?;
                Ok(u128::from_le_bytes(*digest))
            }
            1 => Err(decoder.error()?),
            _ => return Err(Malformed.into()),
        });
    }
    end(&decoder)?;
    Ok(digests)
}

fn end(decoder: &Decoder<'_>) -> Result<(), Error> {
    if decoder.is_empty() { Ok(()) } else { Err(Malformed.into()) }
}

fn write_indices(indices: &[usize], mut to: capnp::primitive_list::Builder<'_, u32>) {
    for (at, index) in (0..).zip(indices) {
        to.set(at, narrow(*index));
    }
}

fn read_indices(from: capnp::primitive_list::Reader<'_, u32>) -> Result<Vec<usize>, Error> {
    if usize_of(from.len()) > PAGE_ENTRIES_MAX {
        return Err(protocol("the peer named more entries than a page holds"));
    }
    Ok(from.iter().map(usize_of).collect())
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const DIGEST_BYTES: usize = 16;
/// Blocks of one range whose digests are told.
const KNOWN_BLOCKS_MAX: usize = 256;
/// What any frame takes, about.
const FRAME_BYTES: usize = 64;
/// What an entry takes at least on its way.
const ENTRY_BYTES_MIN: usize = 5;
/// What an entry takes, about.
const ENTRY_BYTES: usize = 48;
