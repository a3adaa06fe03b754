use std::net::SocketAddrV6;

use proptest::prelude::*;

use super::*;
use crate::ftp::command;

fn v4(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

#[test]
fn a1_port_is_six_decimal_octets() {
    let cases = [
        ("10,0,0,1,200,10", "10.0.0.1:51210"),
        ("127,0,0,1,0,80", "127.0.0.1:80"),
        ("0,0,0,0,0,1", "0.0.0.0:1"),
        ("255,255,255,255,255,255", "255.255.255.255:65535"),
        ("010,000,00,1,004,001", "10.0.0.1:1025"),
    ];
    for (argument, endpoint) in cases {
        assert_eq!(parse_port(argument.as_bytes()), Ok(v4(endpoint)));
    }
}

#[test]
fn a1_items_21_to_30_other_port_arguments_are_refused() {
    let cases = [
        "127,0,0,1,0,0",
        "256,0,0,1,1,1",
        "4294967423,0,0,1,200,10",
        "a,b,c,d,e,f",
        "127,0,0,1,200",
        "127,0,0,1,200,10,1",
        "127,0,0,1,200,10x",
        "127,0,0,1,200,10 ",
        " 127,0,0,1,200,10",
        "+127,0,0,1,200,10",
        "-1,0,0,1,200,10",
        "127, 0, 0, 1, 200, 10",
        "0127,0,0,1,200,10",
        "127,0,0,1,200,256",
        "127,0,0,1,,10",
        "127,0,0,1,200,10,",
        ",127,0,0,1,200,10",
        "127.0.0.1.200.10",
        "0x7f,0,0,1,200,10",
        "",
    ];
    for argument in cases {
        assert_eq!(
            parse_port(argument.as_bytes()),
            Err(PortError),
            "{argument}"
        );
    }
}

#[test]
fn a2_item_34_eprt_takes_either_family_and_any_delimiter() {
    let cases = [
        ("|1|132.235.1.2|6275|", "132.235.1.2:6275"),
        (
            "|2|1080::8:800:200c:417a|5282|",
            "[1080::8:800:200c:417a]:5282",
        ),
        ("!1!10.0.0.1!50000!", "10.0.0.1:50000"),
        ("~2~::1~80~", "[::1]:80"),
        ("|1|10.0.0.1|65535|", "10.0.0.1:65535"),
        ("|2|::ffff:10.0.0.1|5000|", "[::ffff:10.0.0.1]:5000"),
    ];
    for (argument, endpoint) in cases {
        assert_eq!(
            parse_eprt(argument.as_bytes()),
            Ok(endpoint.parse().unwrap()),
            "{argument}"
        );
    }
}

#[test]
fn a2_items_31_to_39_other_eprt_arguments_are_refused() {
    let cases = [
        ("|1|10.0.0.1|99999|", EprtError::Syntax),
        ("|1|10.0.0.1|65536|", EprtError::Syntax),
        ("|1|10.0.0.1|0|", EprtError::Syntax),
        ("|1|10.0.0.1||", EprtError::Syntax),
        ("|1|10.0.0.1|+80|", EprtError::Syntax),
        ("|3|x|1|", EprtError::Family),
        ("|0|10.0.0.1|1|", EprtError::Family),
        ("|99999999999|x|1|", EprtError::Family),
        ("|x|10.0.0.1|1|", EprtError::Syntax),
        ("||10.0.0.1|1|", EprtError::Syntax),
        ("|1|10.0.0.1|50000", EprtError::Syntax),
        ("|1|10.0.0.1|50000|x", EprtError::Syntax),
        ("|1|10.0.0.1|50000| ", EprtError::Syntax),
        (" |1|10.0.0.1|50000|", EprtError::Syntax),
        ("11own150000", EprtError::Syntax),
        ("1110.0.0.11500001", EprtError::Syntax),
        (":2:::1:80:", EprtError::Syntax),
        (".1.10.0.0.1.80.", EprtError::Syntax),
        ("a2a::1a80a", EprtError::Syntax),
        ("|2|fe80::1%eth0|5000|", EprtError::Syntax),
        ("|1|::ffff:1.2.3.4|5000|", EprtError::Syntax),
        ("|1|::1|5000|", EprtError::Syntax),
        ("|2|10.0.0.1|5000|", EprtError::Syntax),
        ("|1|10.0.0.256|5000|", EprtError::Syntax),
        ("|1|010.0.0.1|5000|", EprtError::Syntax),
        ("|1|4294967295|5000|", EprtError::Syntax),
        ("|1!10.0.0.1|5000|", EprtError::Syntax),
        ("|2||80|", EprtError::Syntax),
        ("", EprtError::Syntax),
    ];
    for (argument, error) in cases {
        assert_eq!(parse_eprt(argument.as_bytes()), Err(error), "{argument}");
    }
}

#[test]
fn s10_items_41_to_43_epsv_asks_for_a_family_or_for_all() {
    let cases = [
        (None, Epsv::Bare),
        (Some(""), Epsv::Bare),
        (Some("1"), Epsv::Family(1)),
        (Some("2"), Epsv::Family(2)),
        (Some("3"), Epsv::Family(3)),
        (Some("0"), Epsv::Family(0)),
        (Some("257"), Epsv::Family(255)),
        (Some("99999999999"), Epsv::Family(255)),
        (Some("ALL"), Epsv::All),
        (Some("all"), Epsv::All),
        (Some("x"), Epsv::Bad),
        (Some("ALL "), Epsv::Bad),
        (Some(" 1"), Epsv::Bad),
        (Some("+1"), Epsv::Bad),
        (Some("1 "), Epsv::Bad),
    ];
    for (argument, asked) in cases {
        assert_eq!(
            parse_epsv(argument.map(str::as_bytes)),
            asked,
            "{argument:?}"
        );
    }
}

#[test]
fn p1_items_74_and_75_a_227_line_is_read_however_it_is_written() {
    let cases = [
        (
            "227 Entering Passive Mode (127,0,0,1,100,10)",
            "127.0.0.1:25610",
        ),
        (
            "227 Entering Passive Mode (127,0,0,1,100,10).",
            "127.0.0.1:25610",
        ),
        ("227 ok 12 (127,0,0,1,100,10)", "127.0.0.1:25610"),
        ("227 ok 1,2,3 (127,0,0,1,100,10)", "127.0.0.1:25610"),
        ("227 =1,2,3,4,100,10", "1.2.3.4:25610"),
        ("227 1,2,3,4,100,10", "1.2.3.4:25610"),
        ("227 192,168,7,97,199,99", "192.168.7.97:51043"),
        ("227-192,168,7,97,199,99", "192.168.7.97:51043"),
        ("227 (1, 2, 3,  4, 100, 10)", "1.2.3.4:25610"),
        ("227 Passive on 1,2,3,4,100,10 now", "1.2.3.4:25610"),
        ("227 (001,02,0003,4,00100,010)", "1.2.3.4:25610"),
        ("(127,0,0,1,100,10)", "127.0.0.1:25610"),
        ("227 (0,0,0,0,100,10)", "0.0.0.0:25610"),
        ("227 (169,254,169,254,0,80)", "169.254.169.254:80"),
    ];
    for (line, endpoint) in cases {
        assert_eq!(scan_227(line.as_bytes()), Some(v4(endpoint)), "{line}");
    }
}

#[test]
fn p1_items_73_and_75_a_227_line_without_six_octets_and_a_port_names_nothing() {
    let cases = [
        "227 Entering (256,1,1,1,1,1)",
        "227 (256,1,1,1,1,1) (1,2,3,4,100,10)",
        "227 1,2,3,4,5,6,7 (1,2,3,4,100,10)",
        "227 Entering (1,1,1,1,1,256)",
        "227 Entering (1,1,1,1,256,22)",
        "227 Entering (1,2,3)",
        "227 Entering (1,2,3,4,5)",
        "227 Entering (1,2,3,4,5,6,7)",
        "227 Entering (256,1,1,1,1,1,1)",
        "227 Entering (1256,1,1,1,1,1)",
        "227 Entering (1,1,1,1,1,1000)",
        "227 Entering (0,0,0,0,0,0)",
        "227 Entering (1,2,3,4,0,0)",
        "227 Entering (1,2,3,4,,5,6)",
        "227 Entering (1.2.3.4.5.6)",
        "227 Entering (99999999999999999999,1,1,1,1,1)",
        "227-x",
        "227",
        "",
    ];
    for line in cases {
        assert_eq!(scan_227(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn p3_item_77_a_229_line_is_read_however_it_is_written() {
    let cases = [
        ("229 Entering Extended Passive Mode (|||6446|)", 6446),
        ("229 Entering Extended Passive Mode (|||6446|).", 6446),
        ("229 Entering Extended Passive Mode (|||6446|", 6446),
        ("229 (!!!6446!)", 6446),
        ("229 |||6446|", 6446),
        ("229-|||6446|", 6446),
        ("229 ok |||6446| now", 6446),
        ("229 Extended Passive mode OK (|||65535|)", 65535),
        ("229 (really) ok (|||1|)", 1),
        ("229 |1|10.0.0.1|2| (|||6446|)", 6446),
        ("229 (|1|10.0.0.1|6446|)", 6446),
        ("229 (|2|2001:db8::1|6446|)", 6446),
        ("229 (||10.0.0.1|6446|)", 6446),
    ];
    for (line, port) in cases {
        assert_eq!(scan_229(line.as_bytes()), Some(port), "{line}");
    }
}

#[test]
fn p3_item_77_a_229_line_without_a_port_names_nothing() {
    let cases = [
        "229 (|||0|)",
        "229 (|||65536|)",
        "229 (|||99999999999|)",
        "229 (||6446|)",
        "229 |||1| (|-||6446|)",
        "229 (|||6446)",
        "229 (||| 6446|)",
        "229 (|||-1|)",
        "229 (||||)",
        "229 111644611",
        "229 Entering Extended Passive Mode",
        "229",
        "",
    ];
    for line in cases {
        assert_eq!(scan_229(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn r12_the_texts_are_the_ones_that_clients_and_gateways_know() {
    assert_eq!(
        reply_227(v4("192.0.2.1:10001")),
        "227 Entering Passive Mode (192,0,2,1,39,17)"
    );
    assert_eq!(
        reply_229(10001),
        "229 Entering Extended Passive Mode (|||10001|)"
    );
    assert_eq!(format_port(v4("192.0.2.1:10001")), "PORT 192,0,2,1,39,17");
    assert_eq!(
        format_eprt(v4("192.0.2.1:10001").into()),
        "EPRT |1|192.0.2.1|10001|"
    );
}

#[test]
fn v6_a_scope_is_left_out_of_eprt() {
    let endpoint = SocketAddrV6::new("fe80::1".parse().unwrap(), 5000, 7, 3);
    assert_eq!(format_eprt(endpoint.into()), "EPRT |2|fe80::1|5000|");
}

fn argument_of(line: &Bytes) -> &[u8] {
    command::parse(line).unwrap().argument.unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(address: [u8; 4], address6: [u8; 16], port in 1..=u16::MAX) {
        let endpoint = SocketAddrV4::new(address.into(), port);
        prop_assert_eq!(parse_port(argument_of(&format_port(endpoint))), Ok(endpoint));
        prop_assert_eq!(scan_227(&reply_227(endpoint)), Some(endpoint));
        prop_assert_eq!(scan_229(&reply_229(port)), Some(port));
        for endpoint in [endpoint.into(), SocketAddr::new(address6.into(), port)] {
            prop_assert_eq!(parse_eprt(argument_of(&format_eprt(endpoint))), Ok(endpoint));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_port_zero_never_comes_out(
        text in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            "[0-9,|( !.:x]{0,60}".prop_map(String::into_bytes),
            "(|[|]{1,3})[0-3]?[|][0-9.:]{0,9}[|][0-9]{0,6}[|]".prop_map(String::into_bytes),
        ]
    ) {
        prop_assert!(!parse_port(&text).is_ok_and(|endpoint| endpoint.port() == 0));
        prop_assert!(!parse_eprt(&text).is_ok_and(|endpoint| endpoint.port() == 0));
        prop_assert_ne!(scan_227(&text).map(|endpoint| endpoint.port()), Some(0));
        prop_assert_ne!(scan_229(&text), Some(0));
        parse_epsv(Some(&text));
    }

    #[test]
    fn p1_a_strict_list_is_found_in_any_words(
        before in "[ -+.-/:-~]{0,20}",
        endpoint in any::<([u8; 4], u16)>(),
        after in "[ -+.-/:-~]{0,20}",
    ) {
        let (address, port) = endpoint;
        let endpoint = SocketAddrV4::new(address.into(), port.max(1));
        let line = with_commas(&format!("227 {before}"), endpoint, &after);
        prop_assert_eq!(scan_227(&line), Some(endpoint));
    }
}
