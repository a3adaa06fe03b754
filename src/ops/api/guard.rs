//! Who may ask. A Unix socket is guarded by its mode. A loopback address is reached by every program of this
//! host, and so by whatever a browser on it shows: pages of other origins are refused by `Origin`, and those
//! that have made a name of theirs point here (DNS rebinding) by `Host`.

use std::net::SocketAddr;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::{JSON, Refused};

/// Which way a request has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    /// By this loopback address.
    Tcp(SocketAddr),
    /// By a Unix socket.
    Unix,
}

/// Lets a request pass or refuses it.
pub(super) async fn check(State(door): State<Door>, request: Request, next: Next) -> Response {
    match refuse(door, &request) {
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    }
}

fn refuse<B: HttpBody>(door: Door, request: &axum::http::Request<B>) -> Option<Refused> {
    let headers = request.headers();
    if let Door::Tcp(address) = door {
        let forbidden = |error| Some(Refused::new(StatusCode::FORBIDDEN, error));
        let Some(host) = only(headers, &header::HOST).filter(|host| is_own(host, address)) else {
            return forbidden(format!("the Host of a request must be {address}"));
        };
        let is_same = |origin: &str| origin.strip_prefix("http://") == Some(host);
        if headers.contains_key(header::ORIGIN)
            && !only(headers, &header::ORIGIN).is_some_and(is_same)
        {
            return forbidden("pages of other origins may not ask".to_owned());
        }
    }
    let is_json = |kind: &str| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case(JSON)
    };
    if !request.body().is_end_stream() && !only(headers, &header::CONTENT_TYPE).is_some_and(is_json)
    {
        let error = format!("a body must be {JSON}");
        return Some(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    None
}

/// The value of a header that is there exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether `host` is how this very address is called on this host. A port that HTTP implies is left out.
fn is_own(host: &str, address: SocketAddr) -> bool {
    let localhost = format!("localhost:{}", address.port());
    let is_named = |name: &str| {
        let implied = name.strip_suffix(":80");
        host.eq_ignore_ascii_case(name)
            || implied.is_some_and(|name| host.eq_ignore_ascii_case(name))
    };
    is_named(&address.to_string()) || is_named(&localhost)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;

    use super::*;

    fn answer(door: Door, headers: &[(HeaderName, &str)], body: &'static str) -> Option<u16> {
        let mut request = Request::new(Body::from(body));
        for (name, value) in headers {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        refuse(door, &request).map(|refused| refused.status.as_u16())
    }

    #[test]
    fn a_request_over_tcp_names_the_address_and_comes_from_no_other_page() {
        use header::{HOST, ORIGIN};
        let check = |address: &str, headers: &[(HeaderName, &str)], refused: Option<u16>| {
            let door = Door::Tcp(address.parse().unwrap());
            assert_eq!(answer(door, headers, ""), refused, "{address} {headers:?}");
        };
        for (address, host, refused) in [
            ("127.0.0.1:9122", "127.0.0.1:9122", None),
            ("127.0.0.1:9122", "LocalHost:9122", None),
            ("127.0.0.1:9122", "127.0.0.1", Some(403)),
            ("127.0.0.1:9122", "127.0.0.2:9122", Some(403)),
            ("127.0.0.1:9122", "evil.example:9122", Some(403)),
            ("127.0.0.1:80", "127.0.0.1", None),
            ("[::1]:9122", "[::1]:9122", None),
            ("[::1]:9122", "::1:9122", Some(403)),
        ] {
            check(address, &[(HOST, host)], refused);
        }
        let own = "127.0.0.1:9122";
        check(own, &[], Some(403));
        check(own, &[(HOST, own), (HOST, own)], Some(403));
        for (origin, refused) in [
            ("http://127.0.0.1:9122", None),
            ("http://localhost:9122", Some(403)),
            ("https://127.0.0.1:9122", Some(403)),
            ("http://evil.example", Some(403)),
            ("null", Some(403)),
        ] {
            check(own, &[(HOST, own), (ORIGIN, origin)], refused);
        }
    }

    #[test]
    fn a_unix_socket_asks_for_no_host() {
        assert_eq!(answer(Door::Unix, &[], ""), None);
        assert_eq!(answer(Door::Unix, &[(header::HOST, "x")], ""), None);
    }

    #[test]
    fn a_body_must_be_json() {
        for (kind, refused) in [
            ("application/json", None),
            ("Application/JSON; charset=utf-8", None),
            ("text/plain", Some(415)),
            ("application/x-www-form-urlencoded", Some(415)),
        ] {
            let headers = [(header::CONTENT_TYPE, kind)];
            assert_eq!(answer(Door::Unix, &headers, "{}"), refused, "{kind}");
        }
        assert_eq!(answer(Door::Unix, &[], "{}"), Some(415), "no type at all");
    }
}
