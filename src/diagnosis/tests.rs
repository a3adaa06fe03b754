use std::collections::BTreeSet;

use super::{
    DATA_ADDRESS_REFUSED, Diagnoses, Diagnosis, SESSION_LIMIT, Step, TLS_REUSE_REQUIRED, Words,
};
use crate::ftp::reply::Code;

fn shown(step: Step, line: &str) -> Option<Diagnosis> {
    let code = line[..3].parse().ok().and_then(Code::new);
    Diagnosis::of_reply(
        step,
        code.expect("a reply begins with its code"),
        line.as_bytes(),
    )
}

/// Servers, and what they say in their own words.
const SAID: [(&str, Step, &str, Diagnosis); 30] = {
    use Diagnosis::{DataAddressRefused, SessionLimit, TlsReuseRequired};
    use Step::{Data, Greeting, Login};
    [
        (
            "vsftpd",
            Data,
            "425 Security: Bad IP connecting.",
            DataAddressRefused,
        ),
        (
            "vsftpd",
            Data,
            "500 Illegal PORT command.",
            DataAddressRefused,
        ),
        (
            "vsftpd",
            Data,
            "500 Illegal EPRT command.",
            DataAddressRefused,
        ),
        (
            "vsftpd",
            Data,
            "522 SSL connection failed; session reuse required: see require_ssl_reuse option in vsftpd.conf man page",
            TlsReuseRequired,
        ),
        (
            "vsftpd",
            Greeting,
            "421 There are too many connected users, please try later.",
            SessionLimit,
        ),
        (
            "vsftpd",
            Greeting,
            "421 There are too many connections from your internet address.",
            SessionLimit,
        ),
        (
            "ProFTPD",
            Data,
            "425 Unable to build data connection: Permission denied",
            DataAddressRefused,
        ),
        (
            "ProFTPD",
            Data,
            "500 Illegal PORT command",
            DataAddressRefused,
        ),
        (
            "ProFTPD",
            Greeting,
            "530 Sorry, the maximum number of connections (4) for your host are already connected.",
            SessionLimit,
        ),
        (
            "ProFTPD",
            Login,
            "530 Sorry, the maximum number of allowed clients (9) are already connected.",
            SessionLimit,
        ),
        (
            "Pure-FTPd",
            Data,
            "500 I won't open a connection to 10.0.0.9 (only to 172.17.0.1)",
            DataAddressRefused,
        ),
        (
            "Pure-FTPd",
            Greeting,
            "421 50 users (the maximum) are already logged in, sorry",
            SessionLimit,
        ),
        (
            "Pure-FTPd",
            Greeting,
            "421 Too many connections (8) from this IP",
            SessionLimit,
        ),
        (
            "pyftpdlib",
            Data,
            "425 Rejected data connection from foreign address 10.0.0.9:5000.",
            DataAddressRefused,
        ),
        (
            "pyftpdlib",
            Data,
            "501 Rejected data connection to foreign address 10.0.0.9:5000.",
            DataAddressRefused,
        ),
        (
            "pyftpdlib",
            Greeting,
            "421 Too many connections. Service temporarily unavailable.",
            SessionLimit,
        ),
        (
            "pyftpdlib",
            Greeting,
            "421 Too many connections from the same IP address.",
            SessionLimit,
        ),
        (
            "SFTPGo",
            Data,
            "425 data connection security requirements not met",
            DataAddressRefused,
        ),
        (
            "SFTPGo",
            Data,
            "501 Your request does not meet the configured security requirements",
            DataAddressRefused,
        ),
        (
            "SFTPGo",
            Login,
            "530 Authentication problem: too many open sessions: 3",
            SessionLimit,
        ),
        (
            "FileZilla Server 0.9",
            Data,
            "421 Rejected command, requested IP address does not match control connection IP.",
            DataAddressRefused,
        ),
        (
            "FileZilla Server 0.9",
            Greeting,
            "421 Too many users are connected, please try again later.",
            SessionLimit,
        ),
        (
            "FileZilla Server 1.x",
            Data,
            "425 Unable to build data connection: TLS session of data connection not resumed.",
            TlsReuseRequired,
        ),
        (
            "Apache FtpServer",
            Data,
            "501 PORT IP is not same as 10.0.0.9.",
            DataAddressRefused,
        ),
        (
            "Apache FtpServer",
            Greeting,
            "530 Maximum server connection has been reached.",
            SessionLimit,
        ),
        (
            "Apache FtpServer",
            Login,
            "421 Maximum login limit has been reached.",
            SessionLimit,
        ),
        (
            "wu-ftpd",
            Data,
            "425 Possible PASV port theft, cannot open data connection.",
            DataAddressRefused,
        ),
        (
            "IIS",
            Greeting,
            "421 Maximum clients reached, service unavailable.",
            SessionLimit,
        ),
        (
            "RFC 959",
            Greeting,
            "120 Service ready in 5 minutes.",
            SessionLimit,
        ),
        (
            "RFC 959",
            Greeting,
            "421 Service not available, closing control connection.",
            SessionLimit,
        ),
    ]
};

#[test]
fn what_servers_say_of_themselves_is_understood() {
    for (server, step, line, diagnosis) in SAID {
        assert_eq!(shown(step, line), Some(diagnosis), "{server}: {line}");
        let loud = line.to_uppercase();
        assert_eq!(shown(step, &loud), Some(diagnosis), "{server}: {loud}");
    }
    // IIS says it in an inner line, which has no code of its own.
    for code in [425, 501] {
        let line = b" Error details: Client IP on the control channel didn't match the client IP on the data channel.";
        let code = Code::new(code).unwrap();
        let found = Diagnosis::of_reply(Step::Data, code, line);
        assert_eq!(found, Some(Diagnosis::DataAddressRefused), "{code}");
    }
}

#[test]
fn every_wording_is_that_of_a_server() {
    let known = [
        (Diagnosis::SessionLimit, &SESSION_LIMIT[..]),
        (Diagnosis::DataAddressRefused, &DATA_ADDRESS_REFUSED),
        (Diagnosis::TlsReuseRequired, &TLS_REUSE_REQUIRED),
    ];
    for (shown, all) in known {
        for Words(code, words) in all {
            assert_eq!(*words, words.to_lowercase(), "compared without case");
            let is_said = |(_, _, line, of): &(_, _, &str, _)| {
                let line = line.to_lowercase();
                *of == shown && line.starts_with(&code.to_string()) && line.contains(words)
            };
            let is_in_inner_line = *words == "client ip on the control channel";
            let found = is_in_inner_line || SAID.iter().any(is_said);
            assert!(found, "{code} {words}");
        }
    }
}

#[test]
fn other_refusals_show_nothing() {
    for (step, line) in [
        // What a client can make a server repeat.
        (
            Step::Data,
            "550 Security: Bad IP connecting.: No such file or directory",
        ),
        (Step::Data, "426 425 Security: Bad IP connecting."),
        (
            Step::Login,
            "331 Password required for too many open sessions.",
        ),
        // Right words, said of something else.
        (Step::Login, "425 Security: Bad IP connecting."),
        (
            Step::Data,
            "530 Sorry, the maximum number of clients (9) are already connected.",
        ),
        // What could mean anything.
        (Step::Data, "425 Can't open data connection."),
        (Step::Data, "425 Failed to establish connection."),
        (
            Step::Data,
            "425 Unable to build data connection: Operation not permitted",
        ),
        (Step::Data, "421 Timeout."),
        (Step::Data, "425"),
        (Step::Login, "421 Service not available."),
        (Step::Login, "530 Login incorrect."),
        (Step::Greeting, "530 Access denied."),
        (
            Step::Greeting,
            "220 Too many connections are no problem here.",
        ),
    ] {
        assert_eq!(shown(step, line), None, "{line}");
    }
}

#[test]
fn labels_are_told_apart_and_advice_is_one_sentence() {
    let labels: BTreeSet<_> = Diagnosis::ALL.map(Diagnosis::label).into();
    assert_eq!(labels.len(), Diagnosis::ALL.len());
    for diagnosis in Diagnosis::ALL {
        let (label, advice) = (diagnosis.label(), diagnosis.advice());
        let is_snake_case = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(label.chars().all(is_snake_case), "{label}");
        assert!(advice.starts_with("the backend "), "{label}: {advice}");
        assert!(
            advice.contains(": ") && !advice.ends_with('.'),
            "{label}: {advice}"
        );
        assert!(
            !advice.contains("  ") && !advice.contains(". "),
            "{label}: {advice}"
        );
    }
}

#[test]
fn a_set_has_each_diagnosis_once() {
    let mut set = Diagnoses::default();
    for diagnosis in Diagnosis::ALL {
        assert!(set.insert(diagnosis), "{diagnosis:?}");
        assert!(!set.insert(diagnosis), "{diagnosis:?}");
    }
}
