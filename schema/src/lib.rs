//! The Cap'n Proto schema of blit's control plane and the code generated from it. It must not know what is done with a message.
//!
//! `schema/gen` writes [`control_capnp`] and [`session_capnp`]; `schema/PROTOCOL.md` says what the messages mean.

#[rustfmt::skip]
pub mod control_capnp;
#[rustfmt::skip]
pub mod session_capnp;

#[cfg(test)]
mod tests {
    /// FNV-1a, as in `schema/gen`.
    fn digest(text: &str) -> u64 {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn the_generated_code_is_of_this_schema() {
        let sources = [
            ("control.capnp", include_str!("../control.capnp")),
            ("session.capnp", include_str!("../session.capnp")),
        ];
        let of = |(name, text): &(&str, &str)| format!("{:016x} {name}\n", digest(text));
        let digests: String = sources.iter().map(of).collect();
        assert_eq!(digests, include_str!("digests"), "schema/gen must be run again");
    }
}
