//! The X.509 certificate that carries a key through TLS: signed by the key itself, always of the same shape.
//! It must not know who is trusted: it proves nothing but that its maker has the key, which the handshake proves anyway.
//!
//! Nothing in it but the key means anything, so it is written by hand: fixed bytes around one key and one signature,
//! where a library would bring encoders, time zones and a random serial number. It is valid from 2000 to the end of
//! 9999, which RFC 5280 defines as "no end". Those who pin keys do not look at that: a clock that is wrong must not
//! lock anyone out, and what ends the trust in a key is that it is taken off a list.

use rustls::pki_types::CertificateDer;

use super::key::PublicKey;

/// The certificate of `key`; `sign` signs with its secret half.
pub(super) fn self_signed(
    key: &PublicKey,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> CertificateDer<'static> {
    let mut body = Vec::with_capacity(160);
    body.extend(VERSION_3);
    body.extend(SERIAL);
    body.extend(ED25519);
    body.extend(NAME);
    body.extend(VALIDITY_HEADER);
    body.extend(b"20000101000000Z");
    body.extend(AND_UNTIL);
    body.extend(b"99991231235959Z");
    body.extend(NAME);
    body.extend(key.to_spki());
    let body = sequence(&body);
    let signature = sign(&body);
    let mut whole = body;
    whole.extend(ED25519);
    whole.extend(SIGNATURE_HEADER);
    whole.extend(signature);
    CertificateDer::from(sequence(&whole))
}

/// `content` as a DER sequence.
fn sequence(content: &[u8]) -> Vec<u8> {
    let len = u8::try_from(content.len()).expect("a certificate of this shape is that short");
    let mut der = vec![0x30];
    if len >= 0x80 {
        der.push(0x81);
    }
    der.push(len);
    der.extend(content);
    der
}

/// An explicit tag around the integer 2, which means 3.
const VERSION_3: [u8; 5] = [0xa0, 3, 2, 1, 2];
const SERIAL: [u8; 3] = [2, 1, 1];
/// The algorithm 1.3.101.112.
const ED25519: [u8; 7] = [0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
/// The common name `blit`, for issuer and subject.
const NAME: [u8; 17] =
    [0x30, 0x0f, 0x31, 0x0d, 0x30, 0x0b, 6, 3, 0x55, 4, 3, 0x0c, 4, b'b', b'l', b'i', b't'];
/// A sequence of two times of 15 digits, and the header of the first.
const VALIDITY_HEADER: [u8; 4] = [0x30, 0x22, 0x18, 0x0f];
const AND_UNTIL: [u8; 2] = [0x18, 0x0f];
/// A bit string of 64 bytes.
const SIGNATURE_HEADER: [u8; 3] = [3, 0x41, 0];

#[cfg(test)]
mod tests {
    use rustls::server::ParsedCertificate;

    use crate::identity::{Identity, PublicKey};

    #[test]
    fn the_key_is_read_back_from_its_certificate() {
        let identity = Identity::generate().expect("random");
        let der = identity.certificate();
        let parsed = ParsedCertificate::try_from(&der).expect("well formed");
        let key = PublicKey::from_spki(&parsed.subject_public_key_info());
        assert_eq!(key, Some(identity.public_key()));
    }

    #[test]
    fn the_same_key_makes_the_same_certificate() {
        let identity = Identity::generate().expect("random");
        assert_eq!(identity.certificate(), identity.certificate());
    }
}
