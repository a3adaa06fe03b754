use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::net::TcpListener;

use super::super::reachable;
use super::server::Line::{self, Closed, Cut, Data, Deaf, Epsv, Hears, Linger, Pasv, Says, Stall};
use super::server::serve;
use super::{LOCALHOST, LONG, SHORT, check, login, transfer};
use crate::config::Probe;

const LOGIN: [Line; 5] = [
    Says("220 Hello"),
    Hears("USER ftp"),
    Says("331 Password?"),
    Hears("PASS hunter2"),
    Says("230 Welcome"),
];

const QUIT: [Line; 3] = [Hears("QUIT"), Says("221 Bye"), Closed];

/// What the check says of a server that follows the script.
async fn says(probe: Probe, timeout: Duration, ip: IpAddr, script: &[Line]) -> String {
    let (address, followed) = serve(ip, script.to_vec()).await;
    let said = check(address, probe, timeout).await;
    followed.await.expect("the script is followed");
    said
}

async fn greeting(script: &[Line]) -> String {
    says(Probe::Greeting, LONG, LOCALHOST, script).await
}

/// After the login and `TYPE I`.
async fn list(script: &[Line]) -> String {
    transferred(None, LONG, LOCALHOST, script).await
}

async fn transferred(file: Option<&str>, timeout: Duration, ip: IpAddr, script: &[Line]) -> String {
    let begin = [Hears("TYPE I"), Says("200 OK")];
    let script = [&LOGIN[..], &begin, script].concat();
    says(transfer(file), timeout, ip, &script).await
}

/// The data port that a message names is the system's choice.
fn without_port(said: &str) -> String {
    let is_digit = |c: char| c.is_ascii_digit();
    match said.split_once("127.0.0.1:") {
        Some((head, rest)) => format!("{head}DATA{}", rest.trim_start_matches(is_digit)),
        None => said.to_owned(),
    }
}

#[tokio::test]
async fn h9_a_greeting_is_220_after_any_number_of_120() {
    let script = [Says("120 Soon"), Says("220-A"), Says(" b"), Says("220 c")];
    assert_eq!(greeting(&[&script[..], &QUIT].concat()).await, "ok");
    for (line, said) in [
        (
            "421 Full",
            "IT answered the connection with \"421 Full\" [session_limit]",
        ),
        ("230 Odd", "IT answered the connection with \"230 Odd\""),
        (
            "421-Full\r\n421 \u{1b}[31m",
            "IT answered the connection with \"421 \\x1b[31m\" [session_limit]",
        ),
        (
            "SSH-2.0-x",
            "IT does not speak FTP (the backend sent a line that is no FTP reply) [not_ftp]",
        ),
    ] {
        assert_eq!(greeting(&[Says(line), Closed]).await, said);
    }
}

#[tokio::test]
async fn a_server_that_closes_or_is_silent_or_endless_is_told_apart() {
    assert_eq!(
        greeting(&[]).await,
        "IT closed the connection and did not answer the connection"
    );
    assert_eq!(
        says(Probe::Greeting, SHORT, LOCALHOST, &[Closed]).await,
        "IT did not answer the connection within 300ms"
    );
    let endless = "220 ".to_owned() + &"x".repeat(9_000);
    let script = [Says(endless.leak()), Closed];
    assert_eq!(greeting(&script).await, "IT does not speak FTP");
}

#[tokio::test]
async fn a_port_that_is_closed_can_not_be_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(check(address, Probe::Tcp, LONG).await, "ok");
    drop(listener);
    let said = check(address, Probe::Tcp, LONG).await;
    assert!(said.starts_with("IT can not be connected (Conn"), "{said}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_quit_is_up() {
    let script = [Says("220 Hello"), Hears("QUIT"), Closed];
    assert_eq!(says(Probe::Greeting, SHORT, LOCALHOST, &script).await, "ok");
}

#[tokio::test]
async fn a_login_is_230_to_the_password_or_to_the_user() {
    let script = [&LOGIN[..], &QUIT].concat();
    assert_eq!(says(login(), LONG, LOCALHOST, &script).await, "ok");
    let at_once = [Says("220 Hi"), Hears("USER ftp"), Says("230 In")];
    let script = [&at_once[..], &QUIT].concat();
    assert_eq!(says(login(), LONG, LOCALHOST, &script).await, "ok");
    let script = [Says("220 Hi"), Hears("USER ftp"), Says("530 No"), Closed];
    assert_eq!(
        says(login(), LONG, LOCALHOST, &script).await,
        "IT answered USER with \"530 No\""
    );
}

#[tokio::test]
async fn o6_an_answer_to_the_password_is_not_shown() {
    let refusal = [Says("530 hunter2 is not the password"), Closed];
    let script = [&LOGIN[..4], &refusal].concat();
    assert_eq!(
        says(login(), LONG, LOCALHOST, &script).await,
        "IT answered PASS with \"530\""
    );
}

#[tokio::test]
async fn a_transfer_is_data_up_to_their_end_and_226_or_250() {
    for (host, bytes, code, said) in [
        ("127.0.0.1", 0, "226 Empty", "ok"),
        ("127.0.0.1", 5_000_000, "226 Done", "ok"),
        ("127.0.0.1", 3, "250 Done", "ok"),
        // P2: it does not matter where it thinks it is, but it is told.
        ("192.0.2.7", 3, "226 Done", "ok [foreign_address]"),
    ] {
        let script = [
            Hears("PASV"),
            Pasv(host),
            Hears("NLST"),
            Says("150 Here"),
            Data(bytes),
            Says(code),
        ];
        assert_eq!(list(&[&script[..], &QUIT].concat()).await, said, "{code}");
    }
}

#[tokio::test]
async fn the_end_of_the_data_is_answered_at_once() {
    let script = [
        Hears("PASV"),
        Pasv("127.0.0.1"),
        Hears("NLST"),
        Says("150 Here"),
        Linger,
        Says("226 Done"),
    ];
    assert_eq!(list(&[&script[..], &QUIT].concat()).await, "ok");
}

#[tokio::test]
async fn a_file_is_retrieved_by_its_name() {
    let script = [
        Hears("PASV"),
        Pasv("127.0.0.1"),
        Hears("RETR probe file.txt"),
        Says("125 Here"),
        Data(10),
        Says("226 Done"),
    ];
    let script = [&script[..], &QUIT].concat();
    let said = transferred(Some("probe file.txt"), LONG, LOCALHOST, &script).await;
    assert_eq!(said, "ok");
}

#[tokio::test]
async fn an_ipv6_backend_is_asked_by_epsv() {
    let script = [
        Hears("EPSV"),
        Epsv,
        Hears("NLST"),
        Says("150 Here"),
        Data(10),
        Says("226 Done"),
    ];
    let script = [&script[..], &QUIT].concat();
    let said = transferred(None, LONG, Ipv6Addr::LOCALHOST.into(), &script).await;
    assert_eq!(said, "ok");
}

#[tokio::test]
async fn the_last_reply_may_come_before_the_data() {
    let script = [
        Hears("PASV"),
        Pasv("127.0.0.1"),
        Hears("NLST"),
        Says("150 Here"),
        Says("226 Done"),
        Data(1_000_000),
    ];
    assert_eq!(list(&[&script[..], &QUIT].concat()).await, "ok");
}

#[tokio::test]
async fn a_server_that_refuses_a_step_is_down() {
    for (script, said) in [
        (
            vec![Hears("PASV"), Says("425 No ports")],
            "IT answered PASV with \"425 No ports\"",
        ),
        (
            vec![Hears("PASV"), Says("227 Entering Passive Mode")],
            "IT named no usable port by \"227 Entering Passive Mode\" [no_data_port]",
        ),
        (
            vec![Hears("PASV"), Says("227 (127,0,0,1,0,20)")],
            "IT named no usable port by \"227 (127,0,0,1,0,20)\" [no_data_port]",
        ),
        (
            vec![
                Hears("PASV"),
                Pasv("127.0.0.1"),
                Hears("NLST"),
                Says("550 No"),
            ],
            "IT answered NLST with \"550 No\"",
        ),
        (
            vec![
                Hears("PASV"),
                Pasv("127.0.0.1"),
                Hears("NLST"),
                Says("150 Here"),
                Says("425 Security: Bad IP connecting."),
            ],
            "IT answered NLST with \"425 Security: Bad IP connecting.\" [data_address_refused]",
        ),
        (
            vec![
                Hears("PASV"),
                Pasv("127.0.0.1"),
                Hears("NLST"),
                Says("150 Here"),
                Data(3),
                Says("451 Disk"),
            ],
            "IT answered the end of the transfer with \"451 Disk\"",
        ),
    ] {
        let script = [script, vec![Closed]].concat();
        // Which of the two is seen first is open where the data end before the last reply.
        let found = list(&script).await.replace(
            "answered NLST with \"451",
            "answered the end of the transfer with \"451",
        );
        assert_eq!(found, said);
    }
}

#[tokio::test]
async fn data_that_do_not_come_or_do_not_end_in_order_are_a_failure() {
    let said = list(&[Hears("PASV"), Deaf, Closed]).await;
    let said = without_port(&said);
    assert!(
        said.starts_with("the data port DATA can not be connected (Conn"),
        "{said}"
    );
    let begin = [
        Hears("PASV"),
        Pasv("127.0.0.1"),
        Hears("NLST"),
        Says("150 Here"),
    ];
    let script = [&begin[..], &[Cut, Closed]].concat();
    let said = without_port(&list(&script).await);
    assert!(
        said.starts_with("the data connection from DATA failed after 4 bytes (Conn"),
        "{said}"
    );
    let script = [&begin[..], &[Stall, Closed]].concat();
    let said = transferred(None, SHORT, LOCALHOST, &script).await;
    assert_eq!(
        without_port(&said),
        "the data connection from DATA did not end within 300ms: 4 bytes had come"
    );
    let script = [&begin[..], &[Data(10), Closed]].concat();
    assert_eq!(
        transferred(None, SHORT, LOCALHOST, &script).await,
        "IT did not answer the end of the transfer within 300ms"
    );
}

#[tokio::test]
async fn who_sends_more_than_enough_is_up() {
    let script = [
        Hears("PASV"),
        Pasv("127.0.0.1"),
        Hears("RETR huge"),
        Says("150 Here"),
        Data(super::super::transfer::ENOUGH + (8 << 20)),
        Says("426 Broken pipe"),
        Hears("QUIT"),
        Closed,
    ];
    let said = transferred(Some("huge"), LONG, LOCALHOST, &script).await;
    assert_eq!(said, "ok");
}

#[test]
fn a_wildcard_listener_is_reached_by_the_loopback_of_its_family() {
    for (listener, reached) in [
        ("0.0.0.0:21", "127.0.0.1:21"),
        ("[::]:21", "[::1]:21"),
        ("192.0.2.1:2121", "192.0.2.1:2121"),
    ] {
        let found = reachable(listener.parse().unwrap());
        assert_eq!(found, reached.parse().unwrap());
    }
}
