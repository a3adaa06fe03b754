//! Parties that never pause: what a session owes to time and to the other party is not put off by them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use socket2::SockRef;

use crate::process::SOON;
use crate::proxy::{Proxy, Setup, field};

/// A balancer with these tables before a backend of the test's own, which listens.
fn before_a_backend(tables: &str) -> (Proxy, TcpListener) {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(&[backend.local_addr().unwrap()]);
    let pool = "health = false\nejection = false\n";
    (setup.pool(pool).tables(tables).start(), backend)
}

/// A client that writes `line` until nobody takes it any more, and reads whatever it is told meanwhile.
fn floods(proxy: &Proxy, line: &[u8]) {
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let reading = thread::spawn(move || reader.read_to_end(&mut Vec::new()));
    let (begin, lines) = (Instant::now(), line.repeat(1 << 12));
    while begin.elapsed() < SOON && stream.write_all(&lines).is_ok() {}
    drop(stream);
    let _reset = reading.join().unwrap();
}

#[test]
fn o2_login_is_over_in_time_though_client_and_backend_never_pause() {
    let timeouts = "[timeouts]\nuser = \"1s\"\nlogin = \"1s\"\n";
    let limits = "[limits]\npending_commands = 65536\n";
    let (proxy, listener) = before_a_backend(&format!("{timeouts}{limits}"));
    let backend = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 Scripted.\r\n").unwrap();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let lines = buffer[..count].split(|byte| *byte == b'\n').count() - 1;
            if stream.write_all(&b"530 Log in.\r\n".repeat(lines)).is_err() {
                break;
            }
        }
    });
    floods(&proxy, b"NOOP\r\n");
    let ended = proxy.wait_for_log("session ended", 1);
    assert_eq!(field(&ended[0], "phase"), "login", "{ended:?}");
    let seconds: f64 = field(&ended[0], "seconds").parse().unwrap();
    assert!(
        (0.9..SOON.as_secs_f64() / 4.0).contains(&seconds),
        "{ended:?}"
    );
    backend.join().unwrap();
}

/// It reads the next command once its reply is written, and that once it is read.
#[test]
fn o5_backend_that_writes_before_it_reads_is_read_though_commands_wait_for_it() {
    let (proxy, listener) = before_a_backend("[timeouts]\nreply = \"5s\"\n");
    SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let backend = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        (&stream).write_all(b"220 Scripted.\r\n").unwrap();
        let line = [vec![b' '; 98], b"\r\n".to_vec()].concat();
        let reply = [&b"213-x\r\n"[..], &line.repeat(400), b"213 z\r\n"].concat();
        for _ in BufReader::with_capacity(64, &stream)
            .split(b'\n')
            .map_while(Result::ok)
        {
            if (&stream).write_all(&reply).is_err() {
                break;
            }
        }
    });
    let mut client = TcpStream::connect(proxy.address).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    let reader = BufReader::new(client.try_clone().unwrap());
    let reading = thread::spawn(move || {
        let lines = reader.split(b'\n').map_while(Result::ok);
        let ends = lines.filter(|line| line.starts_with(b"213 "));
        ends.take(COMMANDS).count()
    });
    let command = [b"STAT ".to_vec(), vec![b'z'; 3_800], b"\r\n".to_vec()].concat();
    client.write_all(&command.repeat(COMMANDS)).unwrap();
    assert_eq!(reading.join().unwrap(), COMMANDS);
    drop(client);
    backend.join().unwrap();
}

/// More than the kernel's buffers hold of them.
const COMMANDS: usize = 1_000;
