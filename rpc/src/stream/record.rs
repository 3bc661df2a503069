//! TLS 1.3 records after the handshake (RFC 8446, section 5), sealed and opened straight between two buffers.
//! It must not know sockets, nor where keys come from.
//!
//! rustls would copy each byte twice more on either side and read 4 KiB at a time; its own interface for those who do
//! the encryption elsewhere (in the kernel, say) hands over the keys.

use std::io;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;

/// One direction's key and how often it was used.
pub(super) struct Key {
    key: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    used: u64,
}

impl Key {
    /// The key that a handshake or an update agreed on, after `used` records.
    pub(super) fn new(used: u64, secrets: ConnectionTrafficSecrets) -> io::Result<Self> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&aead::CHACHA20_POLY1305, key, iv)
            }
            _ => return Err(invalid("a cipher that is not known here")),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| invalid("a bad key"))?;
        let iv = iv.as_ref().try_into().map_err(|_| invalid("a bad initial vector"))?;
        Ok(Self { key: LessSafeKey::new(key), iv, used })
    }

    /// For how many records it was used.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Appends a record to `wire` from `at` on and returns where it ends. `plain` has at most [`PLAIN_BYTES_MAX`].
    pub(super) fn seal(&mut self, kind: u8, plain: &[u8], wire: &mut [u8]) -> io::Result<usize> {
        let body_len = plain.len() + OVERHEAD_BYTES;
        let Ok(announced) = u16::try_from(body_len) else {
            return Err(invalid("a record that is too long to send"));
        };
        let [high, low] = announced.to_be_bytes();
        let header = [APPLICATION, 3, 3, high, low];
        let nonce = self.next_nonce()?;
        let (head, body) = wire[..HEADER_BYTES + body_len].split_at_mut(HEADER_BYTES);
        head.copy_from_slice(&header);
        let (cipher, kind_and_tag) = body.split_at_mut(plain.len());
        self.key
            .seal_out_of_place_scatter(
                nonce,
                Aad::from(header),
                plain,
                cipher,
                &[kind],
                kind_and_tag,
            )
            .map_err(|_| invalid("a record could not be sealed"))?;
        Ok(HEADER_BYTES + body_len)
    }

    /// Opens the body of a record into `plain`, which is as long as the body without its tag.
    pub(super) fn open_apart(
        &mut self,
        header: [u8; HEADER_BYTES],
        body: &[u8],
        plain: &mut [u8],
    ) -> io::Result<(u8, usize)> {
        let nonce = self.next_nonce()?;
        let (cipher, tag) = body.split_at(body.len() - TAG_BYTES);
        self.key
            .open_separate_gather(nonce, Aad::from(header), cipher, tag, plain)
            .map_err(|_| tampered())?;
        strip(plain)
    }

    /// Opens the body of a record where it is.
    pub(super) fn open_in_place(
        &mut self,
        header: [u8; HEADER_BYTES],
        body: &mut [u8],
    ) -> io::Result<(u8, usize)> {
        let nonce = self.next_nonce()?;
        let plain =
            self.key.open_in_place(nonce, Aad::from(header), body).map_err(|_| tampered())?;
        strip(plain)
    }

    /// No number is ever used twice: one that failed is used up too.
    fn next_nonce(&mut self) -> io::Result<Nonce> {
        let number = self.used;
        self.used = number.checked_add(1).ok_or_else(|| invalid("a key that is used up"))?;
        let mut nonce = self.iv;
        for (byte, part) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= part;
        }
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// How long the body of the record is whose header this is.
pub(super) fn body_len(header: [u8; HEADER_BYTES]) -> io::Result<usize> {
    let [kind, major, minor, high, low] = header;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if kind != APPLICATION || [major, minor] != [3, 3] {
        return Err(invalid("no record of TLS 1.3"));
    }
    if !(OVERHEAD_BYTES..=BODY_BYTES_MAX).contains(&len) {
        return Err(invalid("a record of an impossible length"));
    }
    Ok(len)
}

/// Takes the padding and the kind from the end of what was opened: the kind, and how many bytes are content.
fn strip(plain: &[u8]) -> io::Result<(u8, usize)> {
    match plain.iter().rposition(|byte| *byte != 0) {
        // The padding counts too.
        Some(len) if plain.len() <= PLAIN_BYTES_MAX + 1 => Ok((plain[len], len)),
        _ => Err(invalid("a record without a kind or with too much in it")),
    }
}

fn tampered() -> io::Error {
    invalid("what arrived is not what the peer sent")
}

pub(super) fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION: u8 = 23;

pub(super) const HEADER_BYTES: usize = 5;
pub(super) const TAG_BYTES: usize = 16;
/// The kind and the tag, which each body has besides its content.
const OVERHEAD_BYTES: usize = 1 + TAG_BYTES;
/// The most content that a record may have.
pub(super) const PLAIN_BYTES_MAX: usize = 16 * 1024;
/// The most that a record may have after its header, padding included.
const BODY_BYTES_MAX: usize = PLAIN_BYTES_MAX + 256;
/// A whole record of the largest kind that is sent here.
pub(super) const RECORD_BYTES_MAX: usize = HEADER_BYTES + PLAIN_BYTES_MAX + OVERHEAD_BYTES;
/// A whole record of the largest kind that may arrive.
pub(super) const ARRIVING_BYTES_MAX: usize = HEADER_BYTES + BODY_BYTES_MAX;
