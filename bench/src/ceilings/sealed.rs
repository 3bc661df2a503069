//! What encryption alone costs: records of TLS 1.3 sealed and opened by one thread, and streams of
//! rustls as it comes, between two threads over loopback.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection,
    SignatureScheme, StreamOwned,
};
use serde::Serialize;

use super::float;
use super::socket::pairs;
use crate::system;

/// Figures of one cipher.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sealed {
    pub(crate) cipher: &'static str,
    /// One thread, records of 16 KiB that stay where they are, no socket.
    pub(crate) seal_bytes_per_second: f64,
    pub(crate) open_bytes_per_second: f64,
    /// One stream, a thread at each end.
    pub(crate) rustls_bytes_per_second: f64,
    /// Of both ends together.
    pub(crate) rustls_cpu_seconds_per_gib: f64,
}

/// All ciphers of TLS 1.3 that blit may choose.
pub(super) fn measure(bytes: u64) -> io::Result<Vec<Sealed>> {
    let ciphers = [
        ("AES-128-GCM", &aead::AES_128_GCM, provider::cipher_suite::TLS13_AES_128_GCM_SHA256),
        ("AES-256-GCM", &aead::AES_256_GCM, provider::cipher_suite::TLS13_AES_256_GCM_SHA384),
        (
            "ChaCha20-Poly1305",
            &aead::CHACHA20_POLY1305,
            provider::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ),
    ];
    let measured = ciphers.into_iter().map(|(cipher, algorithm, suite)| {
        let (seal_bytes_per_second, open_bytes_per_second) = records(algorithm, bytes)?;
        let own = CryptoProvider { cipher_suites: vec![suite], ..provider::default_provider() };
        let (rustls_bytes_per_second, rustls_cpu_seconds_per_gib) = stream(own, bytes)?;
        Ok(Sealed {
            cipher,
            seal_bytes_per_second,
            open_bytes_per_second,
            rustls_bytes_per_second,
            rustls_cpu_seconds_per_gib,
        })
    });
    measured.collect()
}

/// Bytes a second sealed, and opened.
fn records(algorithm: &'static aead::Algorithm, bytes: u64) -> io::Result<(f64, f64)> {
    let failed = |_| io::Error::other("a record could not be sealed or opened");
    let key = UnboundKey::new(algorithm, &[7; 32][..algorithm.key_len()]).map_err(failed)?;
    let key = LessSafeKey::new(key);
    let nonce = |number: u64| {
        let mut nonce = [0; aead::NONCE_LEN];
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    };
    let count = bytes.div_ceil(RECORD_BYTES as u64);
    // Few enough to stay in the cache of the processor, as records on their way do.
    let record = |_| {
        let mut record = Vec::with_capacity(RECORD_BYTES + RECORD_ROOM);
        record.resize(RECORD_BYTES, 0x5a);
        record
    };
    let mut ring: Vec<Vec<u8>> = (0..RING_RECORDS).map(record).collect();
    let (mut sealing, mut opening) = (0.0, 0.0);
    let mut number = 0;
    while number < count {
        let started = Instant::now();
        for (record, at) in ring.iter_mut().zip(number..) {
            key.seal_in_place_append_tag(nonce(at), Aad::empty(), record).map_err(failed)?;
        }
        sealing += started.elapsed().as_secs_f64();
        let started = Instant::now();
        for (record, at) in ring.iter_mut().zip(number..) {
            key.open_in_place(nonce(at), Aad::empty(), record).map_err(failed)?;
            record.truncate(RECORD_BYTES);
        }
        opening += started.elapsed().as_secs_f64();
        number += RING_RECORDS as u64;
    }
    let done = float(number * RECORD_BYTES as u64);
    Ok((done / sealing, done / opening))
}

/// Bytes a second from write to read, and what both ends took.
fn stream(provider: CryptoProvider, bytes: u64) -> io::Result<(f64, f64)> {
    let (client, server) = ends(Arc::new(provider))?;
    let (near, far) = pairs(1)?.pop().ok_or_else(|| io::Error::other("no connection"))?;
    let mut near = StreamOwned::new(client, near);
    let mut far = StreamOwned::new(server, far);
    thread::scope(|scope| {
        let shaking = scope.spawn(|| while_shaking(&mut far));
        while near.conn.is_handshaking() {
            near.conn.complete_io(&mut near.sock)?;
        }
        shaking.join().expect("a loop does not panic")
    })?;
    let cpu_before = system::own_cpu_seconds()?;
    let started = Instant::now();
    let taken = thread::scope(|scope| {
        let taking = scope.spawn(move || drain(far));
        let buffer = vec![0x5a; BUFFER_BYTES];
        let mut left = bytes;
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            near.write_all(&buffer[..step])?;
            left -= step as u64;
        }
        near.conn.send_close_notify();
        near.flush()?;
        taking.join().expect("a loop does not panic")
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = system::own_cpu_seconds()? - cpu_before;
    Ok((float(taken) / seconds, cpu * float(1 << 30) / float(taken.max(1))))
}

fn while_shaking(far: &mut StreamOwned<ServerConnection, std::net::TcpStream>) -> io::Result<()> {
    while far.conn.is_handshaking() {
        far.conn.complete_io(&mut far.sock)?;
    }
    Ok(())
}

fn drain(mut from: impl Read) -> io::Result<u64> {
    let (mut buffer, mut taken) = (vec![0; BUFFER_BYTES], 0);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(taken),
            len => taken += len as u64,
        }
    }
}

/// Both ends of a connection around a new key, which nobody checks: both are ours.
fn ends(provider: Arc<CryptoProvider>) -> io::Result<(ClientConnection, ServerConnection)> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| io::Error::other("no key could be made"))?;
    let key = PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec());
    let key = provider.key_provider.load_private_key(key.into()).map_err(io::Error::other)?;
    let public = key.public_key().ok_or_else(|| io::Error::other("a key without public half"))?;
    let shown = CertificateDer::from(public.as_ref().to_vec());
    let key = Arc::new(CertifiedKey::new(vec![shown], key));
    let versions = &[&rustls::version::TLS13];
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(Arc::clone(&provider))))
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    Ok((
        ClientConnection::new(Arc::new(client), name).map_err(io::Error::other)?,
        ServerConnection::new(Arc::new(server)).map_err(io::Error::other)?,
    ))
}

/// Takes any key.
struct Anyone(Arc<CryptoProvider>);

impl fmt::Debug for Anyone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anyone")
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The most that a record of TLS 1.3 may hold.
const RECORD_BYTES: usize = 16 << 10;
/// For the tag.
const RECORD_ROOM: usize = 64;
const RING_RECORDS: usize = 8;
const BUFFER_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cipher_carries_all_bytes() {
        if !system::is_supported() {
            return;
        }
        let sealed = measure(1 << 20).expect("figures");
        assert_eq!(sealed.len(), 3);
        for one in sealed {
            let paces =
                [one.seal_bytes_per_second, one.open_bytes_per_second, one.rustls_bytes_per_second];
            assert!(paces.iter().all(|pace| *pace > 0.0 && pace.is_finite()), "{one:?}");
        }
    }
}
