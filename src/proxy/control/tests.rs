//! How sessions end: by an error of ftplb's own, and beside a client that does not.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::balance::Pool;
use crate::config::Config;
use crate::config::check::{Surroundings, check};
use crate::ftp::command::Verb;
use crate::limits::Limits;
use crate::proxy::service::{PoolParts, ProcessParts};
use crate::session::Underway;
use crate::telemetry::log;
use crate::telemetry::metrics::PoolMetrics;

#[tokio::test]
async fn a_session_that_panics_ends_and_its_transfer_with_it_once() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("transfers");
    let config = configuration(&file);
    let logging = log::start(&config).unwrap();
    let now = Instant::now();
    let process = ProcessParts {
        transfers: logging.transfers(),
        ..ProcessParts::default()
    };
    let (driver, client) = begun(&config, &process);
    { driver.admission.entry.view() }.set_transfer(Some(Underway {
        verb: Verb::Stor,
        since: now,
        has_begun: true,
        subject: None,
    }));
    let died = tokio::spawn(async move {
        let _driver = driver;
        panic!("an error of the test's own");
    });
    assert!(died.await.unwrap_err().is_panic());
    drop((client, logging));
    let lines = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    for part in [
        "\"verb\":\"STOR\"",
        "\"complete\":false",
        "\"side\":\"balancer\"",
        "\"cause\":\"internal\"",
    ] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert!(process.sessions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_on_sending_after_the_end_is_not_waited_for_longer() {
    let (driver, mut client) = begun(&configuration("none"), &ProcessParts::default());
    client.set_nonblocking(true).unwrap();
    let ended = tokio::spawn(driver);
    let mut sends_for = async |time: Duration| {
        for _ in 0..TURNS {
            while client.write(&[b'x'; 1 << 14]).is_ok() {}
            tokio::time::advance(time / TURNS).await;
        }
        ended.is_finished()
    };
    assert!(!sends_for(FAREWELL / 2).await, "it may have more to say");
    assert!(sends_for(FAREWELL).await);
}

/// In which a client fills what its kernel takes.
const TURNS: u32 = 50;

/// A session of a pool without backends, and its client.
fn begun(config: &Config, process: &ProcessParts) -> (Box<Driver>, TcpStream) {
    let now = Instant::now();
    let pool = Arc::new(Pool::new("p", 0, now));
    let metrics = PoolMetrics::new(Arc::clone(&process.metrics), Arc::clone(pool.name()));
    let parts = PoolParts {
        pool,
        metrics: Arc::new(metrics),
        room: Arc::default(),
        pins: Arc::default(),
    };
    let listener = &config.listeners[0];
    let service = Arc::new(Service::new(config, listener, &parts, process, None, now));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let vip = listener.local_addr().unwrap();
    let client = TcpStream::connect(vip).unwrap();
    let (stream, client_address) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = Connection::new(stream).unwrap();
    let origin = Origin {
        client: client_address,
        vip,
        names: Arc::clone(&service.names),
    };
    let admission = process.sessions.admit(origin, &Limits::default()).unwrap();
    (Driver::new(service, admission, stream), client)
}

fn configuration(transfers: impl AsRef<Path>) -> Config {
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[log]\nfilter = \"off\"\n[[pool]]\n\
         [[pool.backend]]\naddress = \"127.0.0.1:9\"\n[transfer_log]\nfile = \"{}\"\n",
        transfers.as_ref().display()
    );
    check(&text, "x.toml", &Surroundings::default())
        .unwrap()
        .config
}
