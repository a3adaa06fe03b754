use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::http::MAX_BODY_BYTES;
use super::{LOCALHOST, LONG, SHORT, check};
use crate::config::{HttpProbe, Probe};

fn wanted() -> HttpProbe {
    HttpProbe {
        path: "/status?full=1".to_owned(),
        host: None,
        status: vec![200..=299],
        digest: None,
        regex: None,
        regex_no_match: false,
    }
}

/// What the check says of an answer, and what the server was asked.
async fn asked(wanted: HttpProbe, answer: Vec<u8>) -> (String, String) {
    let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        // A check that knows enough closes before the end.
        drop(stream.write_all(&answer).await);
        String::from_utf8(request).unwrap()
    });
    let said = check(address, Probe::Http(wanted), LONG).await;
    let request = server.await.unwrap();
    (said, request.replace(&address.to_string(), "IT"))
}

async fn says(wanted: HttpProbe, answer: &str) -> String {
    asked(wanted, answer.as_bytes().to_vec()).await.0
}

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nall ok";

#[tokio::test]
async fn a_request_names_the_host_and_wants_no_other_after_it() {
    let agent = concat!("user-agent: ftplb/", env!("CARGO_PKG_VERSION"));
    for (host, named) in [(None, "IT"), (Some("ftp.example"), "ftp.example")] {
        let wanted = HttpProbe {
            host: host.map(str::to_owned),
            ..wanted()
        };
        let (said, request) = asked(wanted, PAGE.as_bytes().to_vec()).await;
        assert_eq!(said, "ok");
        let expected = format!(
            "GET /status?full=1 HTTP/1.1\r\nhost: {named}\r\nconnection: close\r\n{agent}\r\n\r\n"
        );
        assert_eq!(request, expected);
    }
}

#[tokio::test]
async fn the_code_decides() {
    for (status, code, said) in [
        (vec![200..=299], "204 None", "ok"),
        (
            vec![200..=299],
            "503 Down",
            "IT answered GET /status?full=1 with 503, not with 200-299",
        ),
        (vec![200..=200, 300..=310], "307 There", "ok"),
        (
            vec![200..=200, 300..=310],
            "204 None",
            "IT answered GET /status?full=1 with 204, not with 200,300-310",
        ),
    ] {
        let wanted = HttpProbe { status, ..wanted() };
        let answer = format!("HTTP/1.1 {code}\r\nConnection: close\r\n\r\n");
        assert_eq!(says(wanted, &answer).await, said);
    }
}

#[tokio::test]
async fn the_body_must_have_the_digest() {
    // `printf 'all ok' | md5sum`
    let right = "7f63c7e69e845ee3eaaf588f269f6a3f";
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n3\r\n ok\r\n0\r\n\r\n";
    let to_the_end = "HTTP/1.0 200 OK\r\n\r\nall ok";
    for answer in [PAGE, chunked, to_the_end] {
        let wanted = HttpProbe {
            digest: Some(right.to_owned()),
            ..wanted()
        };
        assert_eq!(says(wanted, answer).await, "ok");
    }
    let wrong = "0".repeat(32);
    let wanted = HttpProbe {
        digest: Some(wrong.clone()),
        ..wanted()
    };
    let said = says(wanted, PAGE).await;
    let asked = "IT answered GET /status?full=1 with";
    assert_eq!(
        said,
        format!("{asked} a body of digest {right}, not with {wrong}")
    );
}

#[tokio::test]
async fn the_body_must_match_or_must_not() {
    let asked = "IT answered GET /status?full=1 with a body that";
    for (regex, regex_no_match, said) in [
        ("^all .k$", false, "ok".to_owned()),
        ("down", true, "ok".to_owned()),
        (
            "down",
            false,
            format!("{asked} does not match \"down\", not with one that matches it"),
        ),
        (
            "ok",
            true,
            format!("{asked} matches \"ok\", not with one that does not match it"),
        ),
    ] {
        let wanted = HttpProbe {
            regex: Some(regex.to_owned()),
            regex_no_match,
            ..wanted()
        };
        assert_eq!(says(wanted, PAGE).await, said);
    }
}

#[tokio::test]
async fn a_body_is_read_only_as_far_as_it_is_bounded() {
    for (bytes, said) in [
        (MAX_BODY_BYTES, "ok"),
        (
            MAX_BODY_BYTES + 1,
            "IT answered GET /status?full=1 with a longer body, not with 1 MiB at most",
        ),
    ] {
        let wanted = HttpProbe {
            regex: Some("x".to_owned()),
            ..wanted()
        };
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.resize(answer.len() + bytes, b'x');
        assert_eq!(asked(wanted, answer).await.0, said);
    }
}

#[tokio::test]
async fn who_speaks_no_http_or_nothing_is_down() {
    let said = says(wanted(), "220 FTP\r\n\r\n").await;
    assert!(
        said.starts_with("IT does not speak HTTP as it should ("),
        "{said}"
    );
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nall ok";
    let with_digest = HttpProbe {
        regex: Some("ok".to_owned()),
        ..wanted()
    };
    let said = says(with_digest, cut).await;
    assert!(
        said.starts_with("IT does not speak HTTP as it should ("),
        "{said}"
    );
    let silent = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let address = silent.local_addr().unwrap();
    let said = check(address, Probe::Http(wanted()), SHORT).await;
    assert_eq!(said, "IT did not answer the request within 300ms");
}
