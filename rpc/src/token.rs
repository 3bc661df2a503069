//! One-time tokens: what a daemon gives a client over the control connection, and what a data connection shows first.
//! It must not know sockets or clocks: whoever calls brings the time, from a clock that never goes back.
//!
//! A token is good for one slot of one session, from one address, on one control connection, once, for a few seconds.
//! Address and control connection are not in its bytes: they only go into the signature, so a thief cannot even read
//! them. What was issued and not used is remembered until it expires; what is not remembered is not accepted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use blit_core::{Error, ErrorKind};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The session that the data connection joins.
    pub session: u64,
    /// The stream that it becomes there.
    pub slot: u16,
    /// Where it must come from. An IPv4 address written as IPv6 is the same address.
    pub peer: IpAddr,
    /// The channel binding of the control connection, where that is encrypted.
    pub binding: Option<[u8; 32]>,
}

/// A token as it is sent.
pub type Token = [u8; TOKEN_BYTES];

/// What a good token was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// The session that the data connection joins.
    pub session: u64,
    /// The stream that it becomes there.
    pub slot: u16,
}

/// Why a token is not accepted. For logs: a stranger is told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It has not the length or the version of a token.
    Malformed,
    /// It was not made here, or not for this peer and control connection, or it was changed.
    Forged,
    /// It came too late.
    Expired,
    /// It was used before, or its session has ended.
    Spent,
}

/// How many tokens were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// See [`Refusal::Malformed`].
    pub malformed: u64,
    /// See [`Refusal::Forged`].
    pub forged: u64,
    /// See [`Refusal::Expired`].
    pub expired: u64,
    /// See [`Refusal::Spent`].
    pub spent: u64,
}

/// Makes tokens and knows them again.
#[derive(Debug)]
pub struct Mint {
    key: hmac::Key,
    /// The session of each token that was issued and not used, by expiry and nonce.
    outstanding: Mutex<BTreeMap<(u64, [u8; NONCE_BYTES]), u64>>,
    refused: [AtomicU64; 4],
}

impl Mint {
    /// A mint that signs with `secret`, which must be random and stay here.
    pub fn new(secret: [u8; 32]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        Self { key, outstanding: Mutex::default(), refused: Default::default() }
    }

    /// A mint with a secret of its own.
    ///
    /// # Errors
    /// `Internal` when the system has no random numbers.
    pub fn random() -> Result<Self, Error> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| no_random())?;
        Ok(Self::new(secret))
    }

    /// A token for `grant`, good until [`LIFETIME`] after `now`.
    ///
    /// # Errors
    /// `Exhausted` when [`OUTSTANDING_MAX`] tokens wait to be used, `Internal` without random numbers.
    pub fn issue(&self, grant: Grant, now: Duration) -> Result<Token, Error> {
        let mut nonce = [0; NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| no_random())?;
        let expiry = milliseconds(now.saturating_add(LIFETIME));
        let fields = Fields { session: grant.session, slot: grant.slot, nonce, expiry };
        {
            let mut outstanding = self.outstanding();
            // Only those that expired by now have such keys, so this looks at none that stay.
            let live = outstanding.split_off(&(milliseconds(now), [0; NONCE_BYTES]));
            *outstanding = live;
            if outstanding.len() >= OUTSTANDING_MAX {
                let why =
                    format!("{OUTSTANDING_MAX} data connections were granted and have not come");
                return Err(Error::because(
                    ErrorKind::Exhausted,
                    "grant data connection",
                    b"",
                    why,
                ));
            }
            outstanding.insert((expiry, nonce), grant.session);
        }
        let signed = fields.to_bytes();
        let tag = hmac::sign(&self.key, &message(&signed, grant.peer, grant.binding));
        let mut token = [0; TOKEN_BYTES];
        token[..SIGNED_BYTES].copy_from_slice(&signed);
        token[SIGNED_BYTES..].copy_from_slice(tag.as_ref());
        Ok(token)
    }

    /// What `token` is for, if it is good and comes from `peer`; it is used up by that.
    ///
    /// # Errors
    /// Why it is not accepted, which is counted.
    pub fn redeem(
        &self,
        token: &[u8],
        peer: IpAddr,
        binding: Option<[u8; 32]>,
        now: Duration,
    ) -> Result<Redeemed, Refusal> {
        self.check(token, peer, binding, now).inspect_err(|refusal| {
            self.refused[*refusal as usize].fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Forgets the tokens of a session that has ended.
    pub fn revoke(&self, session: u64) {
        self.outstanding().retain(|_, other| *other != session);
    }

    /// How many tokens were refused so far.
    pub fn refusals(&self) -> Refusals {
        let count = |refusal: Refusal| self.refused[refusal as usize].load(Ordering::Relaxed);
        Refusals {
            malformed: count(Refusal::Malformed),
            forged: count(Refusal::Forged),
            expired: count(Refusal::Expired),
            spent: count(Refusal::Spent),
        }
    }

    fn check(
        &self,
        token: &[u8],
        peer: IpAddr,
        binding: Option<[u8; 32]>,
        now: Duration,
    ) -> Result<Redeemed, Refusal> {
        let token: &Token = token.try_into().map_err(|_| Refusal::Malformed)?;
        let (signed, tag) = token.split_at(SIGNED_BYTES);
        let signed: &[u8; SIGNED_BYTES] = signed.try_into().map_err(|_| Refusal::Malformed)?;
        let fields = Fields::from_bytes(signed).ok_or(Refusal::Malformed)?;
        // This compares in constant time.
        hmac::verify(&self.key, &message(signed, peer, binding), tag)
            .map_err(|_| Refusal::Forged)?;
        if milliseconds(now) >= fields.expiry {
            return Err(Refusal::Expired);
        }
        match self.outstanding().remove(&(fields.expiry, fields.nonce)) {
            Some(_) => Ok(Redeemed { session: fields.session, slot: fields.slot }),
            None => Err(Refusal::Spent),
        }
    }

    /// What a thread that panicked left is whole, since each change of it is one call.
    fn outstanding(&self) -> MutexGuard<'_, BTreeMap<(u64, [u8; NONCE_BYTES]), u64>> {
        self.outstanding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is in a token besides its signature.
struct Fields {
    session: u64,
    slot: u16,
    nonce: [u8; NONCE_BYTES],
    /// Milliseconds of the caller's clock.
    expiry: u64,
}

impl Fields {
    fn to_bytes(&self) -> [u8; SIGNED_BYTES] {
        let mut bytes = [0; SIGNED_BYTES];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.session.to_be_bytes());
        bytes[9..11].copy_from_slice(&self.slot.to_be_bytes());
        bytes[11..27].copy_from_slice(&self.nonce);
        bytes[27..35].copy_from_slice(&self.expiry.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; SIGNED_BYTES]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (session, rest) = rest.split_first_chunk()?;
        let (slot, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let expiry = rest.first_chunk()?;
        (*version == VERSION).then(|| Self {
            session: u64::from_be_bytes(*session),
            slot: u16::from_be_bytes(*slot),
            nonce: *nonce,
            expiry: u64::from_be_bytes(*expiry),
        })
    }
}

/// What is signed; every part has a fixed length, so no two grants give the same bytes.
fn message(signed: &[u8; SIGNED_BYTES], peer: IpAddr, binding: Option<[u8; 32]>) -> Vec<u8> {
    let mut message = Vec::with_capacity(128);
    message.extend(PURPOSE);
    message.extend(signed);
    let peer = match peer.to_canonical() {
        IpAddr::V4(peer) => peer.to_ipv6_mapped(),
        IpAddr::V6(peer) => peer,
    };
    message.extend(peer.octets());
    message.push(u8::from(binding.is_some()));
    message.extend(binding.unwrap_or_default());
    message
}

/// Rounded down; the ages of the universe that do not fit are one.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn no_random() -> Error {
    let why = "the system has no random numbers";
    Error::because(ErrorKind::Internal, "grant data connection", b"", why)
}

/// How long a client has to dial: three tries to connect and a slow handshake.
pub const LIFETIME: Duration = Duration::from_secs(20);

/// How many tokens may wait to be used, some 64 bytes each: far more streams than a daemon serves.
pub const OUTSTANDING_MAX: usize = 16 * 1024;

/// How long a token is.
pub const TOKEN_BYTES: usize = SIGNED_BYTES + 32;

/// Version, session, slot, nonce, expiry.
const SIGNED_BYTES: usize = 1 + 8 + 2 + NONCE_BYTES + 8;
const NONCE_BYTES: usize = 16;
const VERSION: u8 = 1;

/// Keeps these signatures apart from any others.
const PURPOSE: &[u8] = b"blit data token\0";

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    const NOW: Duration = Duration::from_secs(1000);
    const BINDING: Option<[u8; 32]> = Some([9; 32]);
    const GRANT: Grant = Grant { session: 77, slot: 3, peer: PEER, binding: BINDING };

    fn issued() -> (Mint, Token) {
        let mint = Mint::new([1; 32]);
        let token = mint.issue(GRANT, NOW).expect("nothing outstanding");
        (mint, token)
    }

    #[test]
    fn a_token_is_good_once() {
        let (mint, token) = issued();
        let redeemed = mint.redeem(&token, PEER, BINDING, NOW).expect("good");
        assert_eq!(redeemed, Redeemed { session: 77, slot: 3 });
        assert_eq!(mint.redeem(&token, PEER, BINDING, NOW), Err(Refusal::Spent));
        assert_eq!(mint.refusals(), Refusals { spent: 1, ..Refusals::default() });
    }

    #[test]
    fn a_token_is_good_from_its_peer_and_control_connection_alone() {
        let (mint, token) = issued();
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));
        for (peer, binding) in [(other, BINDING), (PEER, None), (PEER, Some([0; 32]))] {
            assert_eq!(mint.redeem(&token, peer, binding, NOW), Err(Refusal::Forged));
        }
        assert_eq!(mint.refusals().forged, 3);
        let mapped = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0207));
        assert!(mint.redeem(&token, mapped, BINDING, NOW).is_ok(), "refusals use nothing up");
    }

    #[test]
    fn no_control_connection_is_not_one_that_is_all_zeros() {
        let mint = Mint::new([1; 32]);
        let token = mint.issue(Grant { binding: None, ..GRANT }, NOW).expect("room");
        assert_eq!(mint.redeem(&token, PEER, Some([0; 32]), NOW), Err(Refusal::Forged));
        assert!(mint.redeem(&token, PEER, None, NOW).is_ok());
    }

    #[test]
    fn a_token_expires() {
        let (mint, token) = issued();
        assert_eq!(mint.redeem(&token, PEER, BINDING, NOW + LIFETIME), Err(Refusal::Expired));
        let last = NOW + LIFETIME - Duration::from_millis(1);
        assert!(mint.redeem(&token, PEER, BINDING, last).is_ok());
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let (mint, token) = issued();
        for bit in 0..TOKEN_BYTES * 8 {
            let mut wrong = token;
            wrong[bit / 8] ^= 1 << (bit % 8);
            let refusal = mint.redeem(&wrong, PEER, BINDING, NOW).expect_err("changed");
            let expected = if bit < 8 { Refusal::Malformed } else { Refusal::Forged };
            assert_eq!(refusal, expected, "bit {bit}");
        }
        assert!(mint.redeem(&token, PEER, BINDING, NOW).is_ok());
    }

    #[test]
    fn another_mint_knows_it_not() {
        let (_, token) = issued();
        let other = Mint::random().expect("random numbers");
        assert_eq!(other.redeem(&token, PEER, BINDING, NOW), Err(Refusal::Forged));
    }

    #[test]
    fn what_waits_to_be_used_is_bounded_and_makes_room_when_it_expires() {
        let mint = Mint::new([1; 32]);
        for _ in 0..OUTSTANDING_MAX {
            mint.issue(GRANT, NOW).expect("room");
        }
        let error = mint.issue(GRANT, NOW).expect_err("full");
        assert_eq!(error.kind, ErrorKind::Exhausted);
        let later = NOW + LIFETIME + Duration::from_millis(1);
        let token = mint.issue(GRANT, later).expect("all others expired");
        assert_eq!(mint.outstanding().len(), 1);
        mint.redeem(&token, PEER, BINDING, later).expect("good");
        assert_eq!(mint.outstanding().len(), 0);
    }

    #[test]
    fn a_session_that_ends_takes_its_tokens_along() {
        let (mint, token) = issued();
        let other = mint.issue(Grant { session: 78, ..GRANT }, NOW).expect("room");
        mint.revoke(77);
        assert_eq!(mint.redeem(&token, PEER, BINDING, NOW), Err(Refusal::Spent));
        assert!(mint.redeem(&other, PEER, BINDING, NOW).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_are_taken_for_a_token(
            bytes in prop::collection::vec(any::<u8>(), 0..2 * TOKEN_BYTES),
            exact in prop::collection::vec(any::<u8>(), TOKEN_BYTES - 1),
        ) {
            let (mint, _) = issued();
            prop_assert!(mint.redeem(&bytes, PEER, BINDING, NOW).is_err());
            let exact = [vec![VERSION], exact].concat();
            prop_assert_eq!(mint.redeem(&exact, PEER, BINDING, NOW), Err(Refusal::Forged));
        }

        #[test]
        fn every_grant_comes_back_as_it_was(session: u64, slot: u16, start in 0u64..u64::MAX / 2) {
            let mint = Mint::new([1; 32]);
            let now = Duration::from_millis(start);
            let token = mint.issue(Grant { session, slot, ..GRANT }, now).expect("room");
            let redeemed = mint.redeem(&token, PEER, BINDING, now);
            prop_assert_eq!(redeemed, Ok(Redeemed { session, slot }));
        }
    }
}
