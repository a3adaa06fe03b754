//! What is taken for an address, and what it then is.

use super::super::super::file::{Node, Spot, Value};
use super::super::super::problem::Mistake;
use super::*;

fn of<T>(parse: impl Fn(&Node) -> Result<T, Mistake>, text: &str) -> Result<T, String> {
    parse(&Node::text(Spot::Nowhere, text)).map_err(|mistake| mistake.message)
}

#[test]
fn a_check_replaces_the_address_the_port_or_both() {
    for (text, ip, port) in [
        ("192.0.2.1", Some("192.0.2.1"), None),
        ("192.0.2.1:2121", Some("192.0.2.1"), Some(2121)),
        (":2121", None, Some(2121)),
        ("[2001:db8::1]", Some("2001:db8::1"), None),
        ("[2001:db8::1]:80", Some("2001:db8::1"), Some(80)),
        ("[::ffff:192.0.2.1]", Some("192.0.2.1"), None),
    ] {
        let ip = ip.map(|ip| ip.parse().unwrap());
        assert_eq!(
            of(check_address, text),
            Ok(CheckAddress { ip, port }),
            "{text}"
        );
    }
    for text in [
        "",
        ":",
        ":0",
        ":65536",
        ":-1",
        "21",
        "192.0.2.1:0",
        "192.0.2.1:00",
        "0.0.0.0",
        "0.0.0.0:21",
        "[::]",
        "2001:db8::1",
        "localhost",
        "localhost:21",
        "224.0.0.1",
        "255.255.255.255:21",
    ] {
        assert!(of(check_address, text).is_err(), "{text}");
    }
}

#[test]
fn a_check_goes_to_what_it_does_not_replace() {
    let backend = "192.0.2.7:21".parse().unwrap();
    for (text, expected) in [
        ("192.0.2.1", "192.0.2.1:21"),
        ("192.0.2.1:2121", "192.0.2.1:2121"),
        (":2121", "192.0.2.7:2121"),
    ] {
        let address = of(check_address, text).unwrap();
        assert_eq!(address.of(backend).to_string(), expected);
    }
    assert_eq!(CheckAddress::default().of(backend), backend);
}

#[test]
fn orders_are_taken_from_this_host_only() {
    let api = api_address(9122);
    let longest = format!("/{}", "x".repeat(106));
    for path in ["/run/ftplb/api.sock", "/a", longest.as_str()] {
        assert_eq!(of(&api, path), Ok(ApiAddress::Unix(PathBuf::from(path))));
    }
    for (text, address) in [
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("127.1.2.3", "127.1.2.3:9122"),
        ("[::1]:0", "[::1]:0"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(of(&api, text), Ok(ApiAddress::Loopback(address)), "{text}");
    }
    for (text, message) in [
        ("0.0.0.0:9122", "0.0.0.0:9122 is not only this host's own"),
        ("[::]:9122", "[::]:9122 is not only this host's own"),
        (
            "192.0.2.1:9122",
            "192.0.2.1:9122 is not only this host's own",
        ),
        ("localhost:9122", "\"localhost:9122\" is no address"),
        ("run/api.sock", "\"run/api.sock\" is no address"),
        ("@abstract", "\"@abstract\" is no address"),
        ("", "\"\" is no address"),
        ("/a\0b", "\"/a\\0b\" contains a control character"),
    ] {
        assert_eq!(of(&api, text), Err(message.to_owned()));
    }
    let error = of(&api, &format!("{longest}x")).unwrap_err();
    assert!(
        error.ends_with("has 108 bytes, and the path of a Unix socket at most 107"),
        "{error}"
    );
    let number = Node {
        spot: Spot::Nowhere,
        value: Value::Integer(9122),
    };
    assert_eq!(api(&number).unwrap_err().message, "9122 is no address");
}

#[test]
fn a_name_is_one_of_dns_and_no_address() {
    let label = "x".repeat(63);
    let longest = [label.as_str(), &label, &label, &"x".repeat(61)].join(".");
    for name in [
        "ftp",
        "ftp.default.svc.cluster.local",
        "_ftp._tcp.ftp.service.consul",
        "FTP.Example.COM.",
        "3com.example",
        longest.as_str(),
    ] {
        assert_eq!(of(domain_name, name).as_deref(), Ok(name));
    }
    for (name, message) in [
        ("192.0.2.1", "\"192.0.2.1\" is an address, not a name"),
        ("192.0.2.1:21", "\"192.0.2.1:21\" is an address, not a name"),
        ("2001:db8::1", "\"2001:db8::1\" is an address, not a name"),
        (
            "ftp.example.com:21",
            "\"ftp.example.com:21\" is no name in DNS",
        ),
        (
            "ftp://ftp.example.com",
            "\"ftp://ftp.example.com\" is no name in DNS",
        ),
        ("a..b", "\"a..b\" is no name in DNS"),
        (".", "\".\" is no name in DNS"),
        ("", "\"\" is no name in DNS"),
        ("a b", "\"a b\" is no name in DNS"),
        ("f\u{fc}r.example", "\"f\u{fc}r.example\" is no name in DNS"),
    ] {
        assert_eq!(of(domain_name, name), Err(message.to_owned()));
    }
    assert!(of(domain_name, &format!("{label}x")).is_err());
    assert!(of(domain_name, &format!("{longest}x")).is_err());
}

#[test]
fn a_name_server_has_an_address_and_port_53() {
    for (text, address) in [
        ("192.0.2.1", "192.0.2.1:53"),
        ("192.0.2.1:5353", "192.0.2.1:5353"),
        ("[2001:db8::1]", "[2001:db8::1]:53"),
    ] {
        assert_eq!(of(server_address, text), Ok(address.parse().unwrap()));
    }
    for text in ["dns.example", "0.0.0.0", "192.0.2.1:0", "224.0.0.251"] {
        assert!(of(server_address, text).is_err(), "{text}");
    }
}
