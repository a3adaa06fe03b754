//! No text names port zero, and what was read is written so that it is read the same (A1, A2, P1, P3).

use crate::ftp::endpoint::{
    format_eprt, format_port, parse_eprt, parse_epsv, parse_port, reply_227, reply_229, scan_227,
    scan_229,
};

/// Tries `text` as each of the ways to write a data endpoint.
pub fn check(text: &[u8]) {
    parse_epsv(Some(text));
    if let Ok(endpoint) = parse_port(text) {
        assert_ne!(endpoint.port(), 0);
        assert_eq!(parse_port(argument(&format_port(endpoint))), Ok(endpoint));
    }
    if let Ok(endpoint) = parse_eprt(text) {
        assert_ne!(endpoint.port(), 0);
        assert_eq!(parse_eprt(argument(&format_eprt(endpoint))), Ok(endpoint));
    }
    if let Some(endpoint) = scan_227(text) {
        assert_ne!(endpoint.port(), 0);
        assert_eq!(scan_227(&reply_227(endpoint)), Some(endpoint));
    }
    if let Some(port) = scan_229(text) {
        assert_ne!(port, 0);
        assert_eq!(scan_229(&reply_229(port)), Some(port));
    }
}

/// What stands behind the five bytes of the verb and its space.
fn argument(line: &[u8]) -> &[u8] {
    line.get(5..).unwrap_or_default()
}
