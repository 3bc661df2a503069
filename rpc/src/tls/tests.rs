//! Both ways to trust, over connections in memory.

use std::fs;

use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::identity::tests::PLAIN;

/// Files of an authority, a daemon named `daemon.example` and a client, all valid to the end of 9999.
struct Office(tempfile::TempDir);

impl Office {
    fn new() -> Self {
        let office = Self(tempfile::tempdir().expect("a directory of its own"));
        for (name, label, body) in FILES {
            let text = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
            fs::write(office.path(name), text).expect("written");
        }
        office
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }
}

/// What both sides say at the end of the handshake.
type Outcome = Result<(Connection, Connection), rustls::Error>;

fn shake_hands(client: Arc<ClientConfig>, server: Arc<ServerConfig>, host: &str) -> Outcome {
    let client = ClientConnection::new(client, server_name(host))?;
    let mut ends = [client.into(), ServerConnection::new(server)?.into()];
    while ends.iter().any(|end: &Connection| end.is_handshaking() || end.wants_write()) {
        for at in 0..2 {
            let mut wire = Vec::new();
            while ends[at].wants_write() {
                ends[at].write_tls(&mut wire).expect("memory");
            }
            let mut rest = &wire[..];
            while !rest.is_empty() {
                ends[1 - at].read_tls(&mut rest).expect("room");
                ends[1 - at].process_new_packets()?;
            }
        }
    }
    let [near, far] = ends;
    Ok((near, far))
}

fn anyone() -> Daemons<'static> {
    Daemons::Keys(Arc::new(|_| true))
}

#[test]
fn both_ends_name_their_connection_alike_and_no_other() {
    let id = Identity::generate().expect("random numbers");
    let shake = || {
        let client = client(Channel::Control, anyone(), Credentials::Key(&id)).expect("fits");
        let server = server(Clients::Keys, Credentials::Key(&id)).expect("fits");
        shake_hands(client, server, "h").expect("content")
    };
    let ((near, far), (other, _)) = (shake(), shake());
    let binding = channel_binding(&near).expect("the handshake is over");
    assert_eq!(binding, channel_binding(&far).expect("the handshake is over"));
    assert_ne!(binding, channel_binding(&other).expect("the handshake is over"));
    assert_eq!(Channel::of(&far), Some(Channel::Control));
    assert_eq!(near.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(far.handshake_kind(), Some(rustls::HandshakeKind::Full));
}

#[test]
fn a_certificate_around_the_key_of_another_proves_nothing() {
    let (thief, owner) =
        (Identity::generate().expect("random"), Identity::generate().expect("random"));
    let provider = Arc::new(provider());
    let stolen = rustls::sign::CertifiedKey::new(
        vec![owner.certificate()],
        provider.key_provider.load_private_key(thief.private_key()).expect("a key"),
    );
    let mut config = ClientConfig::clone(
        &client(Channel::Control, anyone(), Credentials::Key(&thief)).expect("fits"),
    );
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(stolen));
    let server = server(Clients::Anyone, Credentials::Key(&owner)).expect("fits");
    let error = shake_hands(Arc::new(config), server, "h").expect_err("no possession");
    assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
}

#[test]
fn an_authority_vouches_for_both_sides_and_for_the_name_that_was_dialled() {
    let office = Office::new();
    let [ca, daemon, daemon_key] = ["ca", "daemon", "daemon.key"].map(|name| office.path(name));
    let [cert, key] = ["client", "client.key"].map(|name| office.path(name));
    let daemons = Daemons::Authority(&ca, PLAIN);
    let theirs = Credentials::Files { cert: &daemon, key: &daemon_key, files: PLAIN };
    let ours = Credentials::Files { cert: &cert, key: &key, files: PLAIN };
    let server = server(Clients::Authority(&ca, PLAIN), theirs).expect("fits");
    let config = client(Channel::Control, daemons.clone(), ours).expect("fits");
    let shake = |config: &Arc<ClientConfig>, host: &str| {
        shake_hands(Arc::clone(config), Arc::clone(&server), host)
    };
    shake(&config, "daemon.example").expect("both are known");
    shake(&config, "other.example").expect_err("another name");
    let id = Identity::generate().expect("random numbers");
    let unknown = client(Channel::Control, daemons, Credentials::Key(&id)).expect("fits");
    shake(&unknown, "daemon.example").expect_err("a client that nobody vouches for");
}

#[test]
fn a_daemon_that_nobody_vouches_for_is_refused() {
    let office = Office::new();
    let id = Identity::generate().expect("random numbers");
    let ca = office.path("ca");
    let daemons = Daemons::Authority(&ca, PLAIN);
    let client = client(Channel::Control, daemons, Credentials::Key(&id)).expect("fits");
    let server = server(Clients::Anyone, Credentials::Key(&id)).expect("fits");
    shake_hands(client, server, "daemon.example").expect_err("signed by itself");
}

#[test]
fn files_that_do_not_fit_are_refused_by_name() {
    let office = Office::new();
    let [daemon, key, ca] = ["daemon", "client.key", "ca"].map(|name| office.path(name));
    let mixed = Credentials::Files { cert: &daemon, key: &key, files: PLAIN };
    let error = server(Clients::Anyone, mixed).expect_err("the key of another");
    assert!(error.to_string().contains("client.key"), "{error}");
    fs::write(&ca, "nothing").expect("written");
    let id = Identity::generate().expect("random numbers");
    let error = server(Clients::Authority(&ca, PLAIN), Credentials::Key(&id));
    let error = error.expect_err("no certificate");
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(error.to_string().contains("no certificate"), "{error}");
}

/// The authority's own key is nowhere.
const FILES: [(&str, &str, &str); 5] = [
    (
        "ca",
        "CERTIFICATE",
        "MIIBCjCBvaADAgECAgEBMAUGAytlcDAUMRIwEAYDVQQDDAlhdXRob3JpdHkwIBcNMDAwMTAxMDAwMDAw\
         WhgPOTk5OTEyMzEyMzU5NTlaMBQxEjAQBgNVBAMMCWF1dGhvcml0eTAqMAUGAytlcAMhALJccXzVYkA3\
         ZUM3T69lnJ98bm3atp5eI8WyAoW4VwjnozIwMDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBSduyjD\
         rpEGPwJLYOQeuL13Htjo1TAFBgMrZXADQQD/EFVwqt5gUfgok70EWGRA4cjV9w3+aKZRZ9nd1xqCH0IB\
         zW3jPtDsO4Tblg0sM/XDcptSuDZgPBpi7GndcAcE",
    ),
    (
        "daemon",
        "CERTIFICATE",
        "MIIBRzCB+qADAgECAgECMAUGAytlcDAUMRIwEAYDVQQDDAlhdXRob3JpdHkwIBcNMDAwMTAxMDAwMDAw\
         WhgPOTk5OTEyMzEyMzU5NTlaMBExDzANBgNVBAMMBmRhZW1vbjAqMAUGAytlcAMhAME1pyj/NWlF5sgZ\
         mqiO+Rgfi5PWR7wj+UJHY66QxMEoo3IwcDAZBgNVHREEEjAQgg5kYWVtb24uZXhhbXBsZTATBgNVHSUE\
         DDAKBggrBgEFBQcDATAdBgNVHQ4EFgQUMSJZGCxvrMzmm9LcbEBm29l0wMowHwYDVR0jBBgwFoAUnbso\
         w66RBj8CS2DkHri9dx7Y6NUwBQYDK2VwA0EAQVoJx19Yantb+kZbLqdlG1aGH9xKx4H/QrcCerDA4kOC\
         BSgKpPe+M1kOmyxWoTW8eZfAK8MxRjwXwkBezmbzDg==",
    ),
    (
        "daemon.key",
        "PRIVATE KEY",
        "MC4CAQAwBQYDK2VwBCIEIIxZzql24ia+JcZhu10YIFWkPjmlDdwhkcwNuicYKpPc",
    ),
    (
        "client",
        "CERTIFICATE",
        "MIIBRzCB+qADAgECAgEDMAUGAytlcDAUMRIwEAYDVQQDDAlhdXRob3JpdHkwIBcNMDAwMTAxMDAwMDAw\
         WhgPOTk5OTEyMzEyMzU5NTlaMBExDzANBgNVBAMMBmNsaWVudDAqMAUGAytlcAMhAEE6fdCZGeda3cxs\
         ROQE1qFsnL9wqH+faegVRoHo6zbyo3IwcDAZBgNVHREEEjAQgg5jbGllbnQuZXhhbXBsZTATBgNVHSUE\
         DDAKBggrBgEFBQcDAjAdBgNVHQ4EFgQU8j1PDCg8A+TwTSeWpltWDajFFtQwHwYDVR0jBBgwFoAUnbso\
         w66RBj8CS2DkHri9dx7Y6NUwBQYDK2VwA0EAY4zawqbjpAmetV+K98GHLhgd0FRMYj1n1T97pqiT+IUW\
         oax3nTXCt1O7QjvjofMnUPmC3cXAt1iq2GRF6EVMDA==",
    ),
    (
        "client.key",
        "PRIVATE KEY",
        "MC4CAQAwBQYDK2VwBCIEIIwg4JL0Rw7BFX0O/FZ8kEA95PeUq2i5213CCtrWkvRX",
    ),
];
