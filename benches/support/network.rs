//! The network of the bench, and the sockets of load and sink.
//!
//! On a network namespace of its own the bench has every port to itself, and TCP is the same for load,
//! sink and balancer: `reno`, which leaves loopback alone where `bbr` paces it to a half.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus, Stdio};
use std::{env, fs};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Runs this program again on a network of its own, and says how it ended. `None` when it should go on
/// here: it runs there already, or this host does not let it.
pub(crate) fn enter() -> Option<ExitStatus> {
    if is_own() {
        return None;
    }
    let program = env::current_exe().ok()?;
    // Root needs no users of its own, and without them can start programs as other users.
    [&["--net"][..], &["--user", "--map-root-user", "--net"]]
        .into_iter()
        .find(|kinds| {
            let trial = unshared(kinds).arg("true").stderr(Stdio::null()).status();
            trial.is_ok_and(|status| status.success())
        })
        .and_then(|kinds| {
            let mut again = unshared(kinds);
            again.arg(program).args(env::args_os().skip(1));
            again.status().ok()
        })
}

/// A command on a network of its own, which ends with this thread.
fn unshared(kinds: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(kinds).args(["setpriv", "--pdeathsig", "TERM"]);
    command.args(["sh", "-c", PREPARE, "sh"]);
    command.env(INSIDE, "1");
    command
}

/// Whether nobody else is on this network.
pub(crate) fn is_own() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Where the bench runs, for its report.
pub(crate) fn describe() -> String {
    let place = if is_own() {
        "loopback of a network namespace"
    } else {
        "loopback of the host"
    };
    let congestion = fs::read_to_string(CONGESTION).unwrap_or_default();
    format!("{place}, TCP {}", congestion.trim())
}

/// Listens on `address`.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    use_reno(&socket);
    socket.bind(address)?;
    socket.listen(1024)
}

/// Connects from `source`.
pub(crate) async fn connect(source: Ipv4Addr, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    use_reno(&socket);
    // The port is left to the connect, where it need only be unused towards `target`.
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(SocketAddr::from((source, 0)))?;
    socket.connect(target).await
}

fn use_reno(socket: &impl AsFd) {
    // Inside it is the default. On a host that does not have it the default must do.
    if !is_own() {
        let _is_available = SockRef::from(socket).set_tcp_congestion(b"reno");
    }
}

/// Set for the program on its own network.
const INSIDE: &str = "FTPLB_BENCH_NETWORK";

const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

const PREPARE: &str =
    r#"ip link set lo up && echo reno > /proc/sys/net/ipv4/tcp_congestion_control && exec "$@""#;
