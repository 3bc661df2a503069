//! Streams whose other end is rustls itself, record by record, in both roles and with every cipher; and records that rustls
//! never sends.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{
    ClientConnection, Connection, DigitallySignedStruct, ServerConnection, SignatureScheme, Stream,
    SupportedCipherSuite,
};

use super::*;

/// A client's view of a daemon whose key it does not look at.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("this is TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// The end that is under test: as the client or as the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

const ROLES: [Role; 2] = [Role::Client, Role::Server];

fn suites() -> [SupportedCipherSuite; 3] {
    [
        aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
        aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ]
}

fn provider(suite: SupportedCipherSuite) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { cipher_suites: vec![suite], ..aws_lc_rs::default_provider() })
}

/// A client of rustls that sends records of an odd size.
fn stock_client(suite: SupportedCipherSuite) -> Connection {
    let provider = provider(suite);
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).expect("supported");
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Trusting(provider)));
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![Channel::Data.alpn().to_vec()];
    config.max_fragment_size = Some(1111);
    let name = tls::server_name("127.0.0.1");
    ClientConnection::new(Arc::new(config), name).expect("a fitting configuration").into()
}

/// A server of rustls that sends tickets too.
fn stock_server(suite: SupportedCipherSuite) -> Connection {
    let id = new_identity();
    let config = ServerConfig::builder_with_provider(provider(suite));
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).expect("supported");
    let config = config.with_no_client_auth();
    let config = config.with_single_cert(vec![id.certificate()], id.private_key());
    let mut config = config.expect("a key fits");
    config.alpn_protocols = vec![Channel::Data.alpn().to_vec()];
    config.send_tls13_tickets = 3;
    ServerConnection::new(Arc::new(config)).expect("a fitting configuration").into()
}

/// Rustls at one end of a socket.
struct Stock {
    tls: Connection,
    socket: TcpStream,
}

impl Stock {
    fn refresh(&mut self) {
        self.tls.refresh_traffic_keys().expect("TLS 1.3");
    }

    fn finish(&mut self) {
        self.tls.send_close_notify();
        self.flush().expect("the peer reads");
    }

    /// The bytes of a record with this content, not sent.
    fn record(&mut self, content: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(content).expect("memory");
        let mut wire = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut wire).expect("memory");
        }
        wire
    }

    fn put(&mut self, wire: &[u8]) {
        self.socket.write_all(wire).expect("the peer reads");
    }
}

impl Read for Stock {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Connection::Client(tls) => Stream::new(tls, &mut self.socket).read(into),
            Connection::Server(tls) => Stream::new(tls, &mut self.socket).read(into),
        }
    }
}

impl Write for Stock {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Connection::Client(tls) => Stream::new(tls, &mut self.socket).write(from),
            Connection::Server(tls) => Stream::new(tls, &mut self.socket).write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

/// Both ends after their handshake: the one under test in `role`, and rustls.
fn meet(role: Role, suite: SupportedCipherSuite) -> (Secure, Stock) {
    let (near, far) = sockets();
    let mut tls = match role {
        Role::Client => stock_server(suite),
        Role::Server => stock_client(suite),
    };
    let shaking = thread::spawn(move || {
        let mut socket = far;
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut socket).expect("a handshake");
        }
        Stock { tls, socket }
    });
    let secure = match role {
        Role::Client => {
            let anybody: tls::Accept = Arc::new(|_| true);
            let id = new_identity();
            let config = tls::client(Channel::Data, Daemons::Keys(anybody), Credentials::Key(&id));
            Secure::connect(near, &config.expect("fits"), tls::server_name("127.0.0.1"), soon())
        }
        Role::Server => {
            let config = tls::server(Clients::Anyone, Credentials::Key(&new_identity()));
            Secure::accept(near, &config.expect("fits"), &[], soon())
        }
    };
    (secure.expect("a handshake"), shaking.join().expect("no panic"))
}

fn everywhere(test: impl Fn(Secure, Stock)) {
    for role in ROLES {
        for suite in suites() {
            println!("{role:?} {suite:?}");
            let (secure, stock) = meet(role, suite);
            test(secure, stock);
        }
    }
}

#[test]
fn megabytes_get_across_both_ways_while_keys_change() {
    everywhere(|mut secure, mut stock| {
        // Few enough that this end changes its key by itself too.
        secure.records_max = 3 * SEND_MARGIN;
        let sent = pattern(3_000_000);
        let to_send = sent.clone();
        let peer = thread::spawn(move || {
            for part in to_send.chunks(400_000) {
                stock.write_all(part).expect("the peer reads");
                stock.refresh();
            }
            stock.finish();
            let mut answer = Vec::new();
            stock.read_to_end(&mut answer).expect("an honest end");
            answer
        });
        let mut received = Vec::new();
        secure.read_to_end(&mut received).expect("an honest end");
        assert!(received == sent, "{} bytes, or other ones", received.len());
        assert!(secure.sending.must_update, "the peer asked for it");
        secure.write_all(&sent).expect("the peer reads");
        secure.finish().expect("open");
        let answer = peer.join().expect("no panic");
        assert!(answer == sent, "{} bytes, or other ones", answer.len());
    });
}

#[test]
fn words_go_back_and_forth_across_changes_of_keys_on_both_sides() {
    everywhere(|mut secure, mut stock| {
        let mut heard = [0; 5];
        for round in 0..40_u8 {
            let word = [round; 5];
            if round % 3 == 0 {
                stock.refresh();
            }
            stock.write_all(&word).expect("open");
            secure.read_exact(&mut heard).expect("an honest peer");
            assert_eq!(heard, word);
            if round % 4 == 0 {
                secure.update_key().expect("open");
            }
            secure.write_all(&word).expect("open");
            stock.read_exact(&mut heard).expect("an honest peer");
            assert_eq!(heard, word);
        }
    });
}

#[test]
fn a_changed_a_repeated_a_missing_and_a_misplaced_record_of_rustls_are_noticed() {
    everywhere(|_, mut stock| {
        // What a record looks like decides where it is changed; each case needs ends of its own.
        assert!(stock.record(b"words").len() > HEADER_BYTES + TAG_BYTES);
    });
    type Spoil = fn(Vec<u8>, Vec<u8>) -> Vec<u8>;
    let spoils: [(&str, Spoil); 5] = [
        ("changed", |mut first, _| {
            first[HEADER_BYTES + 2] ^= 1;
            first
        }),
        ("changed in its tag", |mut first, _| {
            let last = first.len() - 1;
            first[last] ^= 0x80;
            first
        }),
        ("repeated", |first, _| [&first[..], &first[..]].concat()),
        ("missing", |_, second| second),
        ("misplaced", |first, second| [second, first].concat()),
    ];
    for role in ROLES {
        for (what, spoil) in spoils {
            let (mut secure, mut stock) = meet(role, suites()[0]);
            let records = (stock.record(b"words"), stock.record(b"other"));
            stock.put(&spoil(records.0, records.1));
            stock.socket.shutdown(Shutdown::Write).expect("open");
            let mut heard = Vec::new();
            let error = secure.read_to_end(&mut heard).expect_err(what);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}: {error}");
            assert!(heard.is_empty() || heard == b"words", "{what}: {heard:?}");
            assert!(secure.read(&mut [0; 9]).is_err(), "{what}: no second chance");
        }
    }
}

#[test]
fn a_record_that_ends_early_is_no_end() {
    for role in ROLES {
        let (_, mut stock) = meet(role, suites()[0]);
        let len = stock.record(b"words").len();
        for keep in 0..len {
            let (mut secure, mut stock) = meet(role, suites()[0]);
            let record = stock.record(b"words");
            stock.put(&record[..keep]);
            stock.socket.shutdown(Shutdown::Write).expect("open");
            let error = secure.read(&mut [0; 9]).expect_err("not all is here");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{keep} bytes: {error}");
        }
    }
}

#[test]
fn rustls_notices_what_is_changed_on_its_way_from_here_and_says_so() {
    everywhere(|mut secure, mut stock| {
        let len = secure.sending.key.seal(APPLICATION, b"words", &mut secure.sending.wire);
        let len = len.expect("room");
        secure.sending.wire[HEADER_BYTES] ^= 1;
        secure.sending.send(&secure.socket, len).expect("open");
        assert!(stock.read(&mut [0; 9]).is_err());
        stock.flush().expect("the peer reads");
        let error = secure.read(&mut [0; 9]).expect_err("the peer gave up").to_string();
        assert!(error.contains("TLS alert 20"), "{error}");
    });
}

/// Sends one record whose inner content, its kind and padding included, is `inner` and a zero.
fn put_inner(client: &mut Secure, inner: &[u8]) {
    let mut wire = vec![0; 2 * RECORD_BYTES_MAX];
    let len = client.sending.key.seal(0, inner, &mut wire).expect("room");
    client.socket.write_all(&wire[..len]).expect("open");
}

#[test]
fn padding_is_taken_off() {
    for content_len in [0, 1, 5000, PLAIN_BYTES_MAX - 1] {
        for room in [1, 9, 20_000] {
            let ((mut client, mut server), _) = pair();
            let content = pattern(content_len);
            let mut inner = [&content[..], &[APPLICATION]].concat();
            inner.resize(PLAIN_BYTES_MAX, 0);
            put_inner(&mut client, &inner);
            client.write_all(b"end").expect("open");
            client.finish().expect("open");
            let (mut heard, mut space) = (Vec::new(), vec![0; room]);
            while let Ok(len @ 1..) = server.read(&mut space) {
                heard.extend_from_slice(&space[..len]);
            }
            assert!(heard == [&content[..], b"end"].concat(), "{content_len} bytes, {room}");
        }
    }
}

#[test]
fn records_that_the_rules_forbid_are_refused() {
    let padded = |kind: u8, len: usize| {
        let mut inner = vec![b'x', kind];
        inner.resize(len, 0);
        inner
    };
    let cases: [(&str, Vec<u8>); 11] = [
        ("nothing but padding", vec![0; 100]),
        ("no kind", vec![]),
        ("too much padding", padded(APPLICATION, PLAIN_BYTES_MAX + 1)),
        ("far too much padding", padded(APPLICATION, PLAIN_BYTES_MAX + 239)),
        ("an empty alert", vec![ALERT]),
        ("an empty message", vec![HANDSHAKE]),
        ("half an alert", vec![1, ALERT]),
        ("another kind", padded(24, 2)),
        ("a change of ciphers", vec![1, 20]),
        ("a message of a handshake", vec![1, 0, 0, 0, HANDSHAKE]),
        ("words after a new key", vec![24, 0, 0, 1, 0, 4, 0, 0, 0, HANDSHAKE]),
    ];
    for (what, inner) in cases {
        for room in [1, 20_000] {
            let ((mut client, mut server), _) = pair();
            put_inner(&mut client, &inner);
            let error = server.read(&mut vec![0; room]).expect_err(what);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}: {error}");
            assert!(server.read(&mut [0; 1]).is_err(), "{what}: no second chance");
        }
    }
}

#[test]
fn a_ticket_and_a_new_key_may_share_a_record() {
    let ((mut client, mut server), _) = pair();
    client.send_control(HANDSHAKE, &[4, 0, 0, 2, 7, 7, 24, 0, 0, 1, 0]).expect("open");
    let (used, secrets) = client.keys.next_to_send().expect("TLS 1.3");
    client.sending.key = Key::new(used, secrets).expect("a key");
    client.send_control(ALERT, &[1, CANCELLED]).expect("open");
    client.write_all(b"words").expect("open");
    let mut heard = [0; 5];
    server.read_exact(&mut heard).expect("sealed with the new key");
    assert_eq!(&heard, b"words");
}

/// Sets both ends of one direction to the same key, used so often.
fn wear(client: &mut Secure, server: &mut Secure, used: u64) {
    let (_, secrets) = client.keys.next_to_send().expect("TLS 1.3");
    client.sending.key = Key::new(used, secrets).expect("a key");
    let (_, secrets) = server.keys.next_to_receive().expect("TLS 1.3");
    server.receiving.key = Key::new(used, secrets).expect("a key");
}

#[test]
fn a_key_that_any_number_of_records_may_use_is_replaced_before_its_numbers_end() {
    for left in 0..SEND_MARGIN {
        let ((mut client, mut server), _) = pair();
        client.records_max = u64::MAX;
        wear(&mut client, &mut server, u64::MAX - SEND_MARGIN + left - 1);
        let sent = pattern(600_000);
        let to_send = sent.clone();
        let writer = thread::spawn(move || {
            let written = client.write_all(&to_send);
            (client, written)
        });
        let mut heard = vec![0; sent.len()];
        let read = server.read_exact(&mut heard);
        let (client, written) = writer.join().expect("no panic");
        written.expect("the peer reads");
        read.expect("the key was replaced");
        assert!(heard == sent, "{left} left");
        assert!(client.sending.key.used() < 100, "{left} left: the key was replaced");
    }
}

#[test]
fn no_number_is_used_twice_with_a_key() {
    let ((mut client, mut server), _) = pair();
    wear(&mut client, &mut server, u64::MAX - 1);
    client.send_control(APPLICATION, b"last").expect("one is left");
    let mut heard = [0; 4];
    server.read_exact(&mut heard).expect("one is left");
    let mut wire = vec![0; RECORD_BYTES_MAX];
    client.sending.key.seal(APPLICATION, b"more", &mut wire).expect_err("all are used");
    client.send_control(APPLICATION, b"more").expect_err("all are used");
    client.socket.write_all(&[APPLICATION, 3, 3, 0, 21]).expect("open");
    client.socket.write_all(&[0; 21]).expect("open");
    server.read(&mut heard).expect_err("all are used");
}
