//! Which requests to the admin address may come from a web page that somebody looks at.
//!
//! What is told there is no secret in the network that it is served to, and Prometheus reaches it by
//! whatever name it likes. But on a loopback address it is meant for this host, on which a browser may
//! show pages of anybody's: a name of theirs that they have made point here (DNS rebinding) would make
//! it theirs to read. So there a request names an address, or `localhost`. A page of another origin is told
//! nothing anywhere.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Lets a request pass or refuses it with 403. Whether it `is_local`: has come by a loopback address.
pub(super) async fn keep_out(
    State(is_local): State<bool>,
    request: Request,
    next: Next,
) -> Response {
    match refuse(is_local, request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

fn refuse(is_local: bool, headers: &HeaderMap) -> Option<&'static str> {
    // A browser always names a host; a load balancer's check by HTTP/1.0 does not.
    let host = headers.get(header::HOST);
    let is_ours = |host: &str| !is_local || cannot_be_rebound(host);
    if host.is_some_and(|host| !host.to_str().is_ok_and(is_ours)) {
        return Some(
            "on a loopback address the Host of a request must be an address or localhost\n",
        );
    }
    let origin = headers.get(header::ORIGIN)?;
    let own = host.and_then(|host| host.to_str().ok());
    let is_same =
        |origin: &str| { origin.strip_prefix("http://") }.is_some_and(|of| Some(of) == own);
    let is_other = !origin.to_str().is_ok_and(is_same);
    is_other.then_some("pages of other origins may not ask\n")
}

/// Whether no name server is asked for `host`, with or without a port.
pub(super) fn cannot_be_rebound(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(is_local: bool, host: Option<&str>, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
            headers.extend(value.map(|value| (name, value.parse().unwrap())));
        }
        refuse(is_local, &headers).is_some()
    }

    #[test]
    fn a_name_that_was_made_to_point_to_a_loopback_address_is_refused_there() {
        for host in [
            "127.0.0.1:9121",
            "127.0.0.1",
            "localhost:9121",
            "LOCALHOST",
            "[::1]:9121",
            // Through a tunnel to another host, or another port.
            "192.0.2.1:80",
            "localhost:8080",
        ] {
            assert!(!is_refused(true, Some(host), None), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9121",
            "localhost.evil.example:9121",
            "127.0.0.1.evil.example",
            "[evil]:9121",
            "",
            "@127.0.0.1",
        ] {
            assert!(is_refused(true, Some(host), None), "{host}");
        }
        assert!(!is_refused(true, None, None), "a check by HTTP/1.0");
        for host in ["ftplb.default.svc:9121", "evil.example"] {
            assert!(!is_refused(false, Some(host), None), "Prometheus: {host}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused_everywhere() {
        let own = "127.0.0.1:9121";
        for is_local in [true, false] {
            let refused = |origin| is_refused(is_local, Some(own), Some(origin));
            assert!(!refused("http://127.0.0.1:9121"));
            for origin in [
                "http://evil.example",
                "https://127.0.0.1:9121",
                "http://127.0.0.1",
                "null",
            ] {
                assert!(refused(origin), "{origin}");
            }
            assert!(is_refused(is_local, None, Some("http://")));
        }
    }
}
