//! TLS 1.3 and how both sides of it are set up: certificates around keys, or those of an authority.
//! It must not know which keys are trusted, nor sockets.
//!
//! Two ways to trust. With *keys*, each side presents its [`Identity`] in a certificate that it signed itself; the
//! handshake proves that the peer has the key, and whoever asked decides about the key. Validity periods are not looked
//! at, so a clock that is off by a day or a decade does not matter. With an *authority* (`ca_file`), chains, names and
//! validity periods are verified as on the web, and clocks matter as there.
//!
//! There is no resumption, no ticket and no early data: each connection proves both keys anew.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use blit_core::{Error, ErrorKind};
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{Acceptor, NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, CommonState, Connection, DigitallySignedStruct,
    DistinguishedName, PeerMisbehaved, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::identity::{Files, Identity, PublicKey, bytes};

/// What a connection is for; both come to the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Remote procedure calls.
    Control,
    /// The bytes of files.
    Data,
}

impl Channel {
    /// Its name in the handshake (ALPN).
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Control => b"blit-control/1",
            Self::Data => b"blit-data/1",
        }
    }

    /// The one with this name.
    pub fn from_alpn(name: &[u8]) -> Option<Self> {
        [Self::Control, Self::Data].into_iter().find(|channel| channel.alpn() == name)
    }

    /// What the two sides agreed on.
    pub fn of(state: &CommonState) -> Option<Self> {
        Self::from_alpn(state.alpn_protocol()?)
    }
}

/// What a side presents.
#[derive(Clone, Copy, Debug)]
pub enum Credentials<'a> {
    /// The key of this host or user.
    Key(&'a Identity),
    /// A chain of certificates and its key, both PEM, from an authority.
    Files {
        /// The chain, this side's certificate first.
        cert: &'a Path,
        /// Its private key; read only if nobody else can.
        key: &'a Path,
        /// How files are opened.
        files: Files,
    },
}

/// Decides about the key of a daemon, before the handshake goes on. That the daemon has it is proven only when the
/// handshake is over, so nothing may be written down here.
pub type Accept = Arc<dyn Fn(&PublicKey) -> bool + Send + Sync>;

/// Which daemons a client talks to.
#[derive(Clone)]
pub enum Daemons<'a> {
    /// Those whose key is accepted.
    Keys(Accept),
    /// Those whose certificate comes from the authorities in this file and bears the name that was dialled.
    Authority(&'a Path, Files),
}

/// Which clients a daemon listens to; what a client may do is decided later.
#[derive(Clone, Copy, Debug)]
pub enum Clients<'a> {
    /// Those that prove a key, whichever it is, and those that show none.
    Anyone,
    /// Those that prove a key, whichever it is.
    Keys,
    /// Those whose certificate comes from the authorities in this file.
    Authority(&'a Path, Files),
}

/// How a client sets up its connections of one channel.
///
/// # Errors
/// Those of reading the files, and `Usage` when they do not fit.
pub fn client(
    channel: Channel,
    daemons: Daemons<'_>,
    credentials: Credentials<'_>,
) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(provider());
    let verifier: Arc<dyn ServerCertVerifier> = match daemons {
        Daemons::Keys(accept) => Arc::new(Pins { accept, provider: Arc::clone(&provider) }),
        Daemons::Authority(path, files) => {
            let roots = Arc::new(authorities(path, files)?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|e| unfit(path, &e))?
        }
    };
    let (chain, key) = present(credentials)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| unfit(Path::new(""), &e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)
        .map_err(|e| unfit(key_path(credentials), &e))?;
    config.alpn_protocols = vec![channel.alpn().to_vec()];
    config.resumption = Resumption::disabled();
    // The data plane does its own encryption with what the handshake agreed on, see `stream`.
    config.enable_secret_extraction = channel == Channel::Data;
    Ok(Arc::new(config))
}

/// How a daemon sets up its connections of both channels.
///
/// # Errors
/// Those of reading the files, and `Usage` when they do not fit.
pub fn server(
    clients: Clients<'_>,
    credentials: Credentials<'_>,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(provider());
    let keys = |mandatory| Arc::new(Keys { mandatory, provider: Arc::clone(&provider) });
    let verifier: Arc<dyn ClientCertVerifier> = match clients {
        Clients::Anyone => keys(false),
        Clients::Keys => keys(true),
        Clients::Authority(path, files) => {
            let roots = Arc::new(authorities(path, files)?);
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|e| unfit(path, &e))?
        }
    };
    let (chain, key) = present(credentials)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| unfit(Path::new(""), &e))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|e| unfit(key_path(credentials), &e))?;
    config.alpn_protocols = vec![Channel::Control.alpn().to_vec(), Channel::Data.alpn().to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// The name to dial with. Keys have none, so that with them any will do: an address that is no name gets a fixed one.
pub fn server_name(host: &str) -> ServerName<'static> {
    let fixed = || ServerName::try_from("blit").expect("a valid name");
    ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).unwrap_or_else(|_| fixed())
}

/// The key that the peer proved, once the handshake is over; nothing when it showed none or one of another kind.
pub fn peer_key(state: &CommonState) -> Option<PublicKey> {
    if state.is_handshaking() {
        return None;
    }
    key_of(state.peer_certificates()?.first()?)
}

/// What names this connection and no other, the same at both ends (RFC 9266, `tls-exporter`).
///
/// # Errors
/// `Internal` before the handshake is over.
pub fn channel_binding(connection: &Connection) -> Result<[u8; 32], Error> {
    connection
        .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None)
        .map_err(|e| Error::because(ErrorKind::Internal, "bind channel", b"", e.to_string()))
}

/// What the first bytes of a connection show of what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// More bytes are needed.
    Incomplete,
    /// A client that asks for this channel. The bytes still have to be given to the handshake.
    For(Channel),
    /// No TLS, or TLS for something else.
    Foreign,
}

/// Looks at the first bytes of a connection; it answers nothing and changes nothing. Give it all that has come so far,
/// [`HELLO_BYTES_MAX`] at most.
pub fn look_at_hello(received: &[u8]) -> Hello {
    let mut acceptor = Acceptor::default();
    let mut rest = received;
    while !rest.is_empty() {
        match acceptor.read_tls(&mut rest) {
            Ok(0) | Err(_) => return Hello::Foreign,
            Ok(_) => {}
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                let mut names = hello.alpn().into_iter().flatten();
                return names.find_map(Channel::from_alpn).map_or(Hello::Foreign, Hello::For);
            }
            Err(_) => return Hello::Foreign,
        }
    }
    if received.len() < HELLO_BYTES_MAX { Hello::Incomplete } else { Hello::Foreign }
}

/// The longest first message of a client that is read; blit's own has less than 2 KiB.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;

/// The cryptography. AES with 128 bits first: it is no slower than any other where the processor helps, and its margin
/// is beyond doubt. The key exchange that also withstands quantum computers comes first.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![
        aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
        aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
    provider
}

type Presented = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn present(credentials: Credentials<'_>) -> Result<Presented, Error> {
    match credentials {
        Credentials::Key(identity) => Ok((vec![identity.certificate()], identity.private_key())),
        Credentials::Files { cert, key, files } => {
            let chain = certificates(cert, files)?;
            let text = read(key, files.open_private)?;
            let key = PrivateKeyDer::from_pem_slice(&text).map_err(|e| unfit(key, &e))?;
            Ok((chain, key))
        }
    }
}

fn key_path(credentials: Credentials<'_>) -> &Path {
    match credentials {
        Credentials::Key(_) => Path::new(""),
        Credentials::Files { key, .. } => key,
    }
}

fn authorities(path: &Path, files: Files) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, files)? {
        roots.add(certificate).map_err(|e| unfit(path, &e))?;
    }
    Ok(roots)
}

fn certificates(path: &Path, files: Files) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path, files.open_owned)?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|e| unfit(path, &e))?;
    if found.is_empty() {
        return Err(unfit(path, &"it holds no certificate in PEM"));
    }
    Ok(found)
}

fn read(path: &Path, open: fn(&Path) -> std::io::Result<std::fs::File>) -> Result<Vec<u8>, Error> {
    let file = open(path).map_err(|e| Error::io("open", bytes(path), e))?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|e| Error::io("read", bytes(path), e))?;
    Ok(text)
}

fn unfit(path: &Path, why: &dyn fmt::Display) -> Error {
    Error::because(ErrorKind::Usage, "set up TLS with", bytes(path), why.to_string())
}

fn key_of(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    PublicKey::from_spki(&parsed.subject_public_key_info())
}

/// The key in a certificate, where keys are what counts. Chains mean nothing there and are refused.
fn only_key(
    end: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> Result<PublicKey, rustls::Error> {
    match key_of(end) {
        Some(key) if others.is_empty() => Ok(key),
        _ => Err(CertificateError::BadEncoding.into()),
    }
}

fn verify(
    provider: &CryptoProvider,
    message: &[u8],
    cert: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    if signed.scheme != SignatureScheme::ED25519 {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    verify_tls13_signature(message, cert, signed, &provider.signature_verification_algorithms)
}

/// TLS 1.2 is not compiled in; should it ever come up, it is refused.
fn never_tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(PeerMisbehaved::SelectedTls12UsingTls13VersionExtension.into())
}

/// Verifies daemons by their key.
struct Pins {
    accept: Accept,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pins").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match (self.accept)(&only_key(end_entity, intermediates)?) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        never_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify(&self.provider, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Verifies that clients have the keys they show.
#[derive(Debug)]
struct Keys {
    mandatory: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Keys {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        only_key(end_entity, intermediates).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        never_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify(&self.provider, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// The largest file of certificates that is read; the whole web has 200 KiB of authorities.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
