//! What is told of a session that dies of an error of ftplb's own.

use std::net::{TcpListener, TcpStream};
use std::path::Path;

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
    let pool = Arc::new(Pool::new("p", 0, now));
    let metrics = PoolMetrics::new(Arc::clone(&process.metrics), Arc::clone(pool.name()));
    let parts = PoolParts {
        pool,
        metrics: Arc::new(metrics),
        room: Arc::default(),
        pins: Arc::default(),
    };
    let listener = &config.listeners[0];
    let service = Arc::new(Service::new(&config, listener, &parts, &process, None, now));
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
    let driver = Driver::new(service, admission, stream);
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

fn configuration(transfers: &Path) -> Config {
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[log]\nfilter = \"off\"\n[[pool]]\n\
         [[pool.backend]]\naddress = \"127.0.0.1:9\"\n[transfer_log]\nfile = \"{}\"\n",
        transfers.display()
    );
    check(&text, "x.toml", &Surroundings::default())
        .unwrap()
        .config
}
