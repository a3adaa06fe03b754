//! Rules as they are spelled, and lines that are none.

use std::ops::RangeInclusive;

use proptest::prelude::*;

use super::options::OPTIONS;
use super::rule::{Netmask, Persistence, Protocol};
use super::*;
use crate::config::check::Surroundings;
use crate::config::import::Verdict;

/// A host with one file.
struct File(Vec<u8>);

impl Host for File {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        if path == "r" {
            Ok(self.0.clone())
        } else {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    fn glob(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn directory(&self) -> String {
        String::new()
    }

    fn name(&self) -> String {
        String::new()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn random(&self, range: RangeInclusive<u64>) -> u64 {
        *range.start()
    }
}

fn rule(line: &str) -> Rule {
    let rule = Rule::parse(line).unwrap();
    assert_eq!(rule.mistakes, [], "{line}");
    rule
}

#[test]
fn a_rule_is_spelled_in_many_ways() {
    for line in [
        "-A -t 10.0.0.1:21 -s sed -p 300 -M 255.255.255.0",
        "ipvsadm -A -t10.0.0.1:21 -ssed -p300 -M255.255.255.0",
        "/usr/sbin/ipvsadm --add-service --tcp-service=10.0.0.1:21 --scheduler=sed --persistent=300 --netmask=255.255.255.0",
        "-t 10.0.0.1:21 --scheduler sed --persistent 300 --netmask 255.255.255.0 -A",
    ] {
        let rule = rule(line);
        assert_eq!(rule.command, Some(options::Command::AddService));
        let service = rule.service.unwrap();
        assert_eq!(service.protocol, Protocol::Tcp);
        assert_eq!(service.text, "10.0.0.1:21");
        assert_eq!(rule.scheduler.as_deref(), Some("sed"));
        assert_eq!(rule.persistence, Some(Persistence::Seconds(300)));
        assert_eq!(rule.netmask, Some(Netmask::V4(24)));
    }
    assert_eq!(
        rule("-A -t 10.0.0.1:21 -p -s rr").persistence,
        Some(Persistence::Default)
    );
    assert_eq!(
        rule("-A -t 10.0.0.1:21 -p").persistence,
        Some(Persistence::Default)
    );
    assert_eq!(rule("-A -t 10.0.0.1:21").persistence, None);
    assert_eq!(rule("-A -t [::1]:21 -M 64").netmask, Some(Netmask::V6(64)));
    assert_eq!(rule("-A -f 0x15").service.unwrap().mark(), Some(21));
    assert_eq!(rule("-A -f 21 -6").service.unwrap().mark(), Some(21));
    let marks = ["-A -f 21 -6", "-A -6 -f 21"].map(|line| rule(line).service.unwrap());
    assert_eq!(marks[0], marks[1]);
    assert_ne!(marks[0], rule("-A -f 21").service.unwrap());
    assert_eq!(rule("-LnZ").command, Some(options::Command::Other));
}

#[test]
fn an_address_has_its_port_behind_it() {
    for (text, address) in [
        ("10.0.0.1:21", "10.0.0.1:21"),
        ("10.0.0.1", "10.0.0.1:0"),
        ("10.0.0.1:ftp", "10.0.0.1:21"),
        ("[2001:db8::1]:2121", "[2001:db8::1]:2121"),
        ("[2001:db8::1]", "[2001:db8::1]:0"),
    ] {
        assert_eq!(
            rule::address(text).unwrap(),
            address.parse().unwrap(),
            "{text}"
        );
    }
    for text in [
        "host:21",
        "10.0.0.1:http",
        "2001:db8::1",
        "10.0.0.1:70000",
        "",
        ":21",
        "[]:21",
    ] {
        assert!(rule::address(text).is_err(), "{text}");
    }
}

#[test]
fn no_option_is_spelled_like_another() {
    for (at, option) in OPTIONS.iter().enumerate() {
        let others = OPTIONS.iter().skip(at + 1);
        let letters = others.filter(|other| other.letter.is_some());
        for other in letters {
            assert_ne!(option.letter, other.letter, "{}", option.word);
        }
    }
}

#[test]
fn each_rule_changes_the_table_that_the_rules_before_it_made() {
    let verdicts = |text: &str| {
        let import = import("r", &File(text.as_bytes().to_vec()), &Options::default());
        let servers = import.toml().matches("[[pool.backend]]").count();
        let taken = import.findings().into_iter();
        let taken: Vec<_> = taken.map(|f| f.verdict == Verdict::TakenOver).collect();
        (servers, taken)
    };
    let start =
        "-A -t 10.0.0.1:21\n-a -t 10.0.0.1:21 -r 10.1.0.1 -m\n-a -t 10.0.0.1:21 -r 10.1.0.2 -m\n";
    assert_eq!(verdicts(start), (2, vec![true, true, true]));
    let with = |line: &str| verdicts(&format!("{start}{line}\n"));
    assert_eq!(
        with("-d -t 10.0.0.1:21 -r 10.1.0.1"),
        (1, vec![true, false, true, true])
    );
    assert_eq!(
        with("-e -t 10.0.0.1:21 -r 10.1.0.2 -m -w 9"),
        (2, vec![true, true, false, true])
    );
    assert_eq!(
        with("-E -t 10.0.0.1:21 -s rr"),
        (2, vec![false, true, true, true])
    );
    assert_eq!(with("-D -t 10.0.0.1:21").0, 0);
    assert_eq!(with("-C").0, 0);
    assert_eq!(with("-Z").0, 2);
}

fn survive(text: &[u8]) {
    let import = import("r", &File(text.to_vec()), &Options::default());
    let toml = import.toml();
    if let Ok(checked) = import.check(&Surroundings::default()) {
        let again = crate::config::check::check(&toml, "x", &Surroundings::default()).unwrap();
        assert_eq!(checked.config, again.config);
    }
}

fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "-A",
        "-a",
        "-E",
        "-e",
        "-D",
        "-d",
        "-C",
        "-t",
        "-u",
        "-f",
        "21",
        "10.0.0.1:21",
        "-r",
        "-m",
        "-g",
        "-w",
        "1",
        "-p",
        "-M",
        "255.255.255.0",
        "-s",
        "wlc",
        "sh",
        "-b",
        "sh-port",
        "-x",
        "-y",
        "[2001:db8::1]:21",
        "\n",
        "\n",
        "pe",
        "ops",
        "--tun-type",
        "-",
        "--",
        "--=",
        "-é",
        "10.1.0.1:0",
    ];
    prop::sample::select(pieces.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_rules_are_too_much(pieces in prop::collection::vec(piece(), 0..200)) {
        survive(pieces.join(" ").as_bytes());
    }

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        survive(&bytes);
    }
}

#[test]
fn hostile_rules_end_soon() {
    survive("-A -t 10.0.0.1:21\n".repeat(30_000).as_bytes());
    let service = |at: usize| format!("-A -t 10.0.{}.{}:21\n", at / 250, at % 250);
    let services: String = (0..5_000).map(service).collect();
    survive(services.as_bytes());
    let server = |at: usize| format!("-a -t 10.0.0.1:21 -r 10.1.{}.{} -m\n", at / 250, at % 250);
    let servers: String = (0..5_000).map(server).collect();
    survive(format!("-A -t 10.0.0.1:21\n{servers}").as_bytes());
    survive("-".repeat(100_000).as_bytes());
    survive("--nothing ".repeat(400).repeat(20).as_bytes());
    survive(
        format!("{}\n", "--nothing ".repeat(400))
            .repeat(1_000)
            .as_bytes(),
    );
    survive(
        format!("-A -t 10.0.0.1:21 {}\n", "ops ".repeat(1_000))
            .repeat(100)
            .as_bytes(),
    );
    survive("-n".repeat(100_000).as_bytes());
    assert!(
        import("none", &File(Vec::new()), &Options::default())
            .check(&Surroundings::default())
            .is_err()
    );
}
