//! What stands at paths, as messages. It must not know how that was found out.

use blit_core::Error;
use blit_core::codec::{Decoder, Encoder, Malformed};
use blit_core::entry::Meta;
use blit_schema::control_capnp as schema;
use capnp::struct_list;

use super::{error_bytes, protocol, told_error, unreadable};

pub(crate) fn write(
    found: &[Result<Meta, Error>],
    mut to: struct_list::Builder<'_, schema::standing::Owned>,
) {
    for (index, standing) in (0..).zip(found) {
        let mut to = to.reborrow().get(index);
        match standing {
            Ok(meta) => {
                let mut bytes = Vec::new();
                Encoder(&mut bytes).meta(meta);
                to.set_metadata(&bytes);
            }
            Err(error) => to.set_error(&error_bytes(error)),
        }
    }
}

/// `count` paths were asked about.
pub(crate) fn read(
    from: struct_list::Reader<'_, schema::standing::Owned>,
    count: usize,
) -> Result<Vec<Result<Meta, Error>>, Error> {
    if from.len() as usize != count {
        return Err(protocol("the daemon answered for other paths than were asked for"));
    }
    from.iter().map(read_one).collect()
}

fn read_one(from: schema::standing::Reader<'_>) -> Result<Result<Meta, Error>, Error> {
    let error = from.get_error().map_err(unreadable)?;
    if !error.is_empty() {
        return Ok(Err(told_error(error)?));
    }
    let mut decoder = Decoder(from.get_metadata().map_err(unreadable)?);
    let meta = decoder.meta()?;
    if decoder.is_empty() { Ok(Ok(meta)) } else { Err(Malformed.into()) }
}
