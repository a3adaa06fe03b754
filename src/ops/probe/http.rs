//! One request by HTTP to a server beside the FTP server: its code, and if wanted its body, must be right.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use md5::{Digest as _, Md5};
use regex::bytes::Regex;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::{Deadline, ProbeError};
use crate::config::HttpProbe;

/// Asks once, over a connection of its own.
pub(super) async fn run(
    wanted: &HttpProbe,
    peer: SocketAddr,
    stream: TcpStream,
    deadline: Deadline,
) -> Result<(), ProbeError> {
    deadline
        .keep(peer, "the request", ask(wanted, peer, stream))
        .await
}

async fn ask(wanted: &HttpProbe, peer: SocketAddr, stream: TcpStream) -> Result<(), ProbeError> {
    let failed = |source| ProbeError::HttpProtocol { peer, source };
    let request = request(wanted, peer).map_err(|_| ProbeError::HttpPath {
        path: wanted.path.clone(),
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let _driven = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request).await;
    let response = response.map_err(failed)?;
    let code = response.status().as_u16();
    let differs = |answer: String, wanted_answer: String| ProbeError::Http {
        peer,
        asked: format!("GET {}", wanted.path),
        answer,
        wanted: wanted_answer,
    };
    if !wanted.status.iter().any(|range| range.contains(&code)) {
        return Err(differs(code.to_string(), codes(wanted)));
    }
    if wanted.digest.is_none() && wanted.regex.is_none() {
        return Ok(());
    }
    let Some(body) = read(response).await.map_err(failed)? else {
        let limit = format!("{} MiB at most", MAX_BODY_BYTES >> 20);
        return Err(differs("a longer body".to_owned(), limit));
    };
    judge(wanted, &body).map_err(|(answer, wanted)| differs(answer, wanted))
}

fn request(wanted: &HttpProbe, peer: SocketAddr) -> hyper::http::Result<Request<Empty<Bytes>>> {
    let host = wanted.host.clone().unwrap_or_else(|| peer.to_string());
    Request::get(&wanted.path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .header(
            header::USER_AGENT,
            concat!("ftplb/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
}

/// The body; `None` if it is too long.
async fn read(response: Response<Incoming>) -> hyper::Result<Option<Bytes>> {
    let (mut incoming, mut body) = (response.into_body(), BytesMut::new());
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if body.len() + data.len() > MAX_BODY_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&data);
    }
    Ok(Some(body.freeze()))
}

/// Says what the body is and what it should be, if that is not the same.
fn judge(wanted: &HttpProbe, body: &[u8]) -> Result<(), (String, String)> {
    if let Some(digest) = &wanted.digest {
        let found = format!("{:x}", Md5::digest(body));
        if found != *digest {
            return Err((format!("a body of digest {found}"), digest.clone()));
        }
    }
    if let Some(pattern) = &wanted.regex {
        // The configuration is checked: it compiles.
        let is_match = Regex::new(pattern).is_ok_and(|regex| regex.is_match(body));
        if is_match == wanted.regex_no_match {
            let is = |is_match| {
                if is_match {
                    "matches"
                } else {
                    "does not match"
                }
            };
            let found = format!("a body that {} {pattern:?}", is(is_match));
            return Err((found, format!("one that {} it", is(!is_match))));
        }
    }
    Ok(())
}

fn codes(wanted: &HttpProbe) -> String {
    let code = |range: &std::ops::RangeInclusive<u16>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    let codes: Vec<_> = wanted.status.iter().map(code).collect();
    codes.join(",")
}

/// A page that tells of health is short.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;
