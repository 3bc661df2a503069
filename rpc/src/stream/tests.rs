//! Streams over real sockets, both ends in one process.

mod interop;

use std::net::TcpListener;
use std::thread;

use super::*;
use crate::identity::Identity;
use crate::tls::{self, Channel, Clients, Credentials, Daemons};

/// Two ends of a socket.
fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
    let (server, _) = listener.accept().expect("dialled");
    (client, server)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Two ends of a stream, and their keys: the client's first.
fn pair() -> ((Secure, Secure), (PublicKey, PublicKey)) {
    let (client_id, server_id) = (new_identity(), new_identity());
    let keys = (client_id.public_key(), server_id.public_key());
    let accept: tls::Accept = Arc::new(move |key| *key == keys.1);
    let results = shake_hands(&client_id, &server_id, accept, Channel::Data);
    ((results.0.expect("the client is content"), results.1.expect("the server is content")), keys)
}

fn new_identity() -> Identity {
    Identity::generate().expect("random numbers")
}

fn shake_hands(
    client_id: &Identity,
    server_id: &Identity,
    accept: tls::Accept,
    channel: Channel,
) -> (io::Result<Secure>, io::Result<Secure>) {
    let client = tls::client(channel, Daemons::Keys(accept), Credentials::Key(client_id));
    let client = client.expect("a key fits");
    let server = tls::server(Clients::Keys, Credentials::Key(server_id)).expect("a key fits");
    let (near, far) = sockets();
    let dialling = thread::spawn(move || {
        Secure::connect(near, &client, tls::server_name("127.0.0.1"), soon())
    });
    let accepted = Secure::accept(far, &server, &[], soon());
    (dialling.join().expect("no panic"), accepted)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..251).cycle().take(len).collect()
}

#[test]
fn each_end_knows_the_key_of_the_other() {
    let ((client, server), keys) = pair();
    assert_eq!(client.peer_key(), Some(keys.1));
    assert_eq!(server.peer_key(), Some(keys.0));
}

#[test]
fn what_is_written_is_read_whatever_the_sizes() {
    let ((mut client, mut server), _) = pair();
    let sent = pattern(3_000_000);
    let to_send = sent.clone();
    let writer = thread::spawn(move || {
        let mut rest = &to_send[..];
        for size in [1, 16_383, 16_384, 16_385, 1, 700_000].into_iter().cycle() {
            let now = size.min(rest.len());
            client.write_all(&rest[..now]).expect("the peer reads");
            rest = &rest[now..];
            if rest.is_empty() {
                break;
            }
        }
        client.finish().expect("the socket is open");
        client
    });
    let mut received: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 300_000];
    for size in [1, 17, 16_384, 16_385, 20_000, 300_000].into_iter().cycle() {
        let len = server.read(&mut buffer[..size]).expect("the peer is honest");
        if len == 0 {
            break;
        }
        received.extend_from_slice(&buffer[..len]);
    }
    assert!(received == sent, "{} of {} bytes, or other ones", received.len(), sent.len());
    assert_eq!(server.read(&mut buffer).expect("still ended"), 0);
    let mut client = writer.join().expect("no panic");
    server.write_all(b"thanks").expect("the other direction is open");
    server.finish().expect("open");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("the peer is honest");
    assert_eq!(answer, "thanks");
}

#[test]
fn keys_are_replaced_on_the_way_without_notice() {
    let ((mut client, mut server), _) = pair();
    client.records_max = 3 * SEND_MARGIN;
    server.sending.must_update = true;
    let sent = pattern(30 * 1024 * 1024);
    let to_send = sent.clone();
    let writer = thread::spawn(move || {
        client.write_all(&to_send).expect("the peer reads");
        client.finish().expect("open");
        let mut answer = [0; 2];
        client.read_exact(&mut answer).expect("sealed with a new key");
        (client, answer)
    });
    let mut received = vec![0; sent.len()];
    server.read_exact(&mut received).expect("the peer is honest");
    assert!(received == sent, "bytes changed on the way");
    server.write_all(b"ok").expect("the peer reads");
    let (client, answer) = writer.join().expect("no panic");
    assert_eq!(&answer, b"ok");
    assert!(client.sending.key.used() <= client.records_max, "the key was replaced");
}

#[test]
fn a_request_for_a_new_key_is_granted_before_more_is_sent() {
    let ((mut client, mut server), _) = pair();
    client.send_control(HANDSHAKE, &[24, 0, 0, 1, 1]).expect("open");
    let (used, secrets) = client.keys.next_to_send().expect("TLS 1.3");
    client.sending.key = Key::new(used, secrets).expect("a key");
    client.write_all(b"?").expect("open");
    let mut question = [0; 1];
    server.read_exact(&mut question).expect("sealed with the new key");
    server.write_all(b"!").expect("open");
    assert_eq!(server.sending.key.used(), 1, "the first record of a new key");
    let mut answer = [0; 1];
    client.read_exact(&mut answer).expect("sealed with the new key");
    assert_eq!([question[0], answer[0]], *b"?!");
}

#[test]
fn a_daemon_with_another_key_is_refused_by_both_sides() {
    let nobody: tls::Accept = Arc::new(|_| false);
    let results = shake_hands(&new_identity(), &new_identity(), nobody, Channel::Data);
    let error = results.0.expect_err("the key is not accepted");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(results.1.is_err(), "the server is told");
}

#[test]
fn a_control_connection_is_no_data_stream() {
    let anybody: tls::Accept = Arc::new(|_| true);
    let results = shake_hands(&new_identity(), &new_identity(), anybody, Channel::Control);
    let error = results.1.expect_err("another channel").to_string();
    assert!(error.contains("data connection"), "{error}");
}

#[test]
fn a_silent_peer_ends_the_handshake_at_its_deadline() {
    let (near, _far) = sockets();
    let anybody: tls::Accept = Arc::new(|_| true);
    let config =
        tls::client(Channel::Data, Daemons::Keys(anybody), Credentials::Key(&new_identity()));
    let deadline = Instant::now() + Duration::from_millis(20);
    let config = config.expect("a key fits");
    let error = Secure::connect(near, &config, tls::server_name("::1"), deadline);
    assert_eq!(error.expect_err("nobody answers").kind(), io::ErrorKind::TimedOut);
    assert!(Instant::now() >= deadline);
}

#[test]
fn garbage_instead_of_a_handshake_is_refused() {
    let (mut near, far) = sockets();
    near.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").expect("open");
    let server = tls::server(Clients::Anyone, Credentials::Key(&new_identity())).expect("fits");
    let error = Secure::accept(far, &server, &[], soon()).expect_err("no TLS");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_silent_peer_ends_a_read_and_the_next_one_may_succeed() {
    let ((mut client, mut server), _) = pair();
    server.set_timeout(Some(Duration::from_millis(20))).expect("open");
    let mut buffer = [0; 4];
    let error = server.read(&mut buffer).expect_err("nothing was sent");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    client.write_all(b"late").expect("open");
    server.set_timeout(None).expect("open");
    server.read_exact(&mut buffer).expect("nothing was lost");
    assert_eq!(&buffer, b"late");
}

#[test]
fn a_cut_connection_is_no_end() {
    let ((client, mut server), _) = pair();
    drop(client);
    let error = server.read(&mut [0; 4]).expect_err("nobody said that all is said");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn every_changed_byte_of_a_record_is_noticed() {
    for index in 0..HEADER_BYTES + 5 + 17 {
        let ((mut client, mut server), _) = pair();
        let len = client.sending.key.seal(APPLICATION, b"bytes", &mut client.sending.wire);
        client.sending.wire[index] ^= 1;
        client.sending.send(&client.socket, len.expect("room")).expect("open");
        client.socket.shutdown(Shutdown::Write).expect("open");
        assert!(server.read(&mut [0; 64]).is_err(), "byte {index}");
        assert!(server.read(&mut [0; 64]).is_err(), "byte {index}: no second chance");
    }
}

#[test]
fn another_thread_ends_a_stream_that_waits() {
    let ((_client, mut server), _) = pair();
    let closer = server.closer().expect("a file more");
    let reader = thread::spawn(move || server.read(&mut [0; 4]));
    closer.close();
    assert!(reader.join().expect("no panic").is_err());
}

#[test]
fn the_first_bytes_show_the_channel() {
    for channel in [Channel::Control, Channel::Data] {
        let anybody: tls::Accept = Arc::new(|_| true);
        let id = new_identity();
        let config = tls::client(channel, Daemons::Keys(anybody), Credentials::Key(&id));
        let name = tls::server_name("host");
        let mut client =
            rustls::ClientConnection::new(config.expect("fits"), name).expect("a connection");
        let mut hello = Vec::new();
        client.write_tls(&mut hello).expect("memory");
        assert_eq!(tls::look_at_hello(&hello), tls::Hello::For(channel));
        for cut in [0, 1, 5, hello.len() / 2, hello.len() - 1] {
            assert_eq!(tls::look_at_hello(&hello[..cut]), tls::Hello::Incomplete, "{cut}");
        }
    }
    assert_eq!(tls::look_at_hello(b"GET / HTTP/1.1\r\n"), tls::Hello::Foreign);
}

#[test]
fn a_peer_that_keeps_sending_nothing_is_refused() {
    let ((mut client, mut server), _) = pair();
    for _ in 0..EMPTY_RECORDS_MAX {
        client.send_control(APPLICATION, b"").expect("open");
    }
    client.write_all(b"!").expect("open");
    let mut buffer = [0; 1];
    server.read_exact(&mut buffer).expect("that many are borne");
    for _ in 0..=EMPTY_RECORDS_MAX {
        client.send_control(APPLICATION, b"").expect("open");
    }
    let error = server.read(&mut buffer).expect_err("too many").to_string();
    assert!(error.contains("without content"), "{error}");
}

#[test]
fn a_record_that_is_sent_twice_is_noticed() {
    let ((mut client, mut server), _) = pair();
    let len = client.sending.key.seal(APPLICATION, b"once", &mut client.sending.wire);
    let len = len.expect("room");
    for _ in 0..2 {
        client.sending.send(&client.socket, len).expect("open");
    }
    let mut buffer = [0; 4];
    server.read_exact(&mut buffer).expect("the first is good");
    assert_eq!(&buffer, b"once");
    server.read(&mut buffer).expect_err("the second is none");
}

#[test]
fn a_deadline_ends_waits_for_a_peer_that_sends_a_byte_now_and_then() {
    let ((mut client, mut server), _) = pair();
    let (ended, ends) = std::sync::mpsc::channel::<()>();
    let sending = thread::spawn(move || {
        let mut count = 0_u32;
        // One record for each byte, and much longer for all of them than the deadline allows.
        while ends.recv_timeout(Duration::from_millis(20)).is_err()
            && client.write_all(b"x").is_ok()
        {
            count += 1;
        }
        count
    });
    server.set_timeout(Some(Duration::from_secs(60))).expect("not zero");
    let deadline = Instant::now() + Duration::from_millis(200);
    server.set_deadline(Some(deadline)).expect("it is open");
    let error = server.read_exact(&mut [0; 2000]).expect_err("it takes too long");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    server.set_deadline(None).expect("it is open");
    server.read_exact(&mut [0; 2]).expect("the stream is as good as before");
    drop(ended);
    drop(server);
    assert!(sending.join().expect("no panic") > 2, "it was never silent");
}
