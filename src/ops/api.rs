//! The API: what operators ask and order of a running ftplb, over HTTP on a Unix socket or a loopback
//! address. docs/api.md tells what there is.
//!
//! ```text
//!   socket ──▶ bounded ──▶ guard: host, origin, type of body ──▶ look: GET
//!                                                          └───▶ orders: POST, DELETE ──▶ log
//! ```
//! Whoever reaches it commands ftplb. A Unix socket is reached by its owner only; on a loopback address the
//! guard keeps out the web pages that a browser of this host shows.

mod answer;
mod guard;
mod look;
mod orders;
pub mod socket;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::connect_info::Connected;
use axum::middleware;
use axum::routing::{delete, get, post};
use axum::serve::IncomingStream;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use self::answer::{no_such_method, no_such_path};
use self::guard::Door;
use self::socket::{ApiSocket, Bound};
use crate::ops::bounded::Bounded;
use crate::ops::fleet::Fleet;

/// Who asks, for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Asker {
    /// Over a loopback address.
    Address(SocketAddr),
    /// Over the Unix socket: the user, and the process if the kernel knows it.
    Process { uid: u32, pid: Option<i32> },
    /// Over the Unix socket, and gone by now.
    Unknown,
}

/// Answers until told to stop.
pub async fn serve(socket: ApiSocket, fleet: Arc<Fleet>, stop: CancellationToken) {
    let served = match socket.bound {
        Bound::Tcp(listener, address) => {
            let guard = middleware::from_fn_with_state(Door::Tcp(address), guard::check);
            let service = router(fleet).layer(guard);
            let service = service.into_make_service_with_connect_info::<Asker>();
            axum::serve(Bounded::new(listener), service)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
        }
        Bound::Unix(socket) => {
            let (listener, _file) = socket.into_parts();
            let guard = middleware::from_fn_with_state(Door::Unix, guard::check);
            let service = router(fleet).layer(guard);
            let service = service.into_make_service_with_connect_info::<Asker>();
            axum::serve(Bounded::new(listener), service)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
        }
    };
    if let Err(error) = served {
        tracing::error!(%error, "the API is served no longer");
    }
}

fn router(fleet: Arc<Fleet>) -> Router {
    let backend = "/v1/pools/{pool}/backends/{backend}";
    Router::new()
        .route("/v1/status", get(look::status))
        .route("/v1/sessions", get(look::sessions))
        .route("/v1/affinity", get(look::affinity))
        .route(&format!("{backend}/weight"), post(orders::weigh))
        .route(&format!("{backend}/{{standing}}"), post(orders::stand))
        .route("/v1/sessions/{id}", delete(orders::end_session))
        .route("/v1/reload", post(orders::reload))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(fleet)
}

impl Connected<IncomingStream<'_, Bounded<TcpListener>>> for Asker {
    fn connect_info(stream: IncomingStream<'_, Bounded<TcpListener>>) -> Self {
        Self::Address(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, Bounded<UnixListener>>> for Asker {
    fn connect_info(stream: IncomingStream<'_, Bounded<UnixListener>>) -> Self {
        match stream.io().stream().peer_cred() {
            Ok(peer) => Self::Process {
                uid: peer.uid(),
                pid: peer.pid(),
            },
            Err(_) => Self::Unknown,
        }
    }
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Process { uid, pid: None } => write!(f, "uid {uid}"),
            Self::Process {
                uid,
                pid: Some(pid),
            } => write!(f, "uid {uid}, pid {pid}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Bytes of a request's body: the largest order names one number.
const BODY: usize = 4096;
