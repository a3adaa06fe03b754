use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid};

use super::{Call, Ended, MAX_SAID_BYTES, ScriptError};
use crate::config::RunAs;

fn call(words: &[&str]) -> Call {
    Call {
        words: words.iter().map(ToString::to_string).collect(),
        run_as: None,
        environment: Vec::new(),
        limit: Duration::from_secs(20),
    }
}

fn shell(text: &str) -> Call {
    call(&["sh", "-c", text])
}

fn as_user(mut call: Call, user: &str, group: Option<&str>) -> Call {
    call.run_as = Some(RunAs {
        user: user.to_owned(),
        group: group.map(str::to_owned),
    });
    call
}

async fn said(call: Call) -> String {
    let Ended { code, said } = call.run().await.expect("it runs");
    assert_eq!(code, 0, "{said}");
    said
}

#[tokio::test]
async fn a_script_says_how_it_ended_and_what_it_had_to_say() {
    let ended = shell("echo one; echo two >&2; exit 7").run().await.unwrap();
    assert_eq!((ended.code, &*ended.said), (7, "one\\ntwo"));
}

#[tokio::test]
async fn arguments_come_as_they_are_written() {
    let words = ["printf", "%s|", "a b", "", "$HOME", "*", "it's"];
    assert_eq!(said(call(&words)).await, "a b||$HOME|*|it\\'s|");
}

#[tokio::test]
async fn a_script_has_its_own_group_the_root_directory_and_nothing_to_read() {
    let text = "test $(ps -o pgid= $$) = $$ && pwd && cat";
    assert_eq!(said(shell(text)).await, "/");
}

#[tokio::test]
async fn a_script_has_none_of_ftplbs_sockets() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
    let said = said(call(&["ls", "-l", "/proc/self/fd"])).await;
    assert!(said.contains("0 -> /dev/null"), "{said}");
    assert!(!said.contains(own.to_str().unwrap()), "{said}");
}

#[tokio::test]
async fn the_environment_is_the_path_and_what_the_script_is_told() {
    let mut call = call(&["env"]);
    call.environment = vec![("FTPLB_POOL", "files".to_owned())];
    let said = said(call).await;
    let mut names: Vec<_> = said
        .split("\\n")
        .filter_map(|line| line.split('=').next())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["FTPLB_POOL", "PATH"]);
    assert!(said.contains("FTPLB_POOL=files"));
}

#[tokio::test]
async fn what_is_said_is_bounded_and_the_rest_does_not_stop_the_script() {
    let said = said(shell("head -c 1000000 /dev/zero | tr '\\0' x")).await;
    assert_eq!(said, "x".repeat(MAX_SAID_BYTES));
}

#[tokio::test]
async fn a_script_that_takes_too_long_is_killed_with_all_that_it_started() {
    let home = tempfile::tempdir().unwrap();
    let pids = home.path().join("pids");
    let text = format!(
        "sleep 1000 & echo $$ $! > {0}.new; mv {0}.new {0}; wait",
        pids.display()
    );
    let mut call = shell(&text);
    call.limit = Duration::from_secs(2);
    let error = call.run().await.unwrap_err();
    assert!(matches!(error, ScriptError::Timeout { .. }));
    let message = error.to_string();
    assert_eq!(message, "sh was not done within 2s, and was killed");
    assert_gone(&std::fs::read_to_string(pids).unwrap());
}

#[tokio::test]
async fn a_script_that_nobody_waits_for_any_more_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let pid = home.path().join("pid");
    let text = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; sleep 1000",
        pid.display()
    );
    let call = shell(&text);
    let mut running = Box::pin(call.run());
    let deadline = Instant::now() + Duration::from_secs(20);
    while !pid.exists() {
        assert!(Instant::now() < deadline, "it does not start");
        let step = tokio::time::timeout(Duration::from_millis(5), &mut running).await;
        assert!(step.is_err(), "it does not end by itself");
    }
    drop(running);
    assert_gone(&std::fs::read_to_string(pid).unwrap());
}

#[tokio::test]
async fn a_script_that_leaves_somebody_behind_is_not_waited_for_longer_than_itself() {
    let begin = Instant::now();
    let said = said(shell("sleep 30 & echo $!")).await;
    assert!(begin.elapsed() < Duration::from_secs(15));
    let left = Pid::from_raw(said.parse().unwrap());
    kill(left, nix::sys::signal::Signal::SIGKILL).expect("it lives on");
}

#[tokio::test]
async fn a_script_that_cannot_be_run_or_is_killed_is_named() {
    let error = call(&["/nowhere/check", "x"]).run().await.unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/check can not be run");
    assert!(matches!(error, ScriptError::System { .. }));
    let error = shell("kill -9 $$").run().await.unwrap_err();
    assert_eq!(error.to_string(), "sh was killed by signal 9");
}

#[tokio::test]
async fn a_script_is_run_as_the_user_that_is_wanted_if_ftplb_may() {
    let call = as_user(call(&["id"]), "nobody", None);
    if geteuid().is_root() {
        let said = said(call).await;
        assert!(said.starts_with("uid=65534(nobody) gid="), "{said}");
        assert!(!said.contains("root"), "{said}");
        let numbers = as_user(shell("id -u; id -g; id -G"), "4242", Some("4243"));
        assert_eq!(self::said(numbers).await, "4242\\n4243\\n4243");
    } else {
        let error = call.run().await.unwrap_err().to_string();
        assert_eq!(
            error,
            "id can not be run as nobody: for that ftplb must run as root"
        );
    }
}

#[tokio::test]
async fn ftplbs_own_user_needs_no_rights() {
    let (user, group) = (geteuid().to_string(), nix::unistd::getegid().to_string());
    let call = as_user(call(&["id", "-u"]), &user, Some(&group));
    assert_eq!(said(call).await, user);
}

#[tokio::test]
async fn a_user_or_group_that_is_not_there_is_named() {
    for (user, group, error) in [
        ("nosuchuser", None, "user \"nosuchuser\""),
        ("nobody", Some("nosuchgroup"), "group \"nosuchgroup\""),
        // A number that no user has brings no group with it.
        ("4242", None, "group \"4242\""),
    ] {
        let call = as_user(call(&["id"]), user, group);
        let said = call.run().await.unwrap_err().to_string();
        assert!(said.contains(error), "{said}");
    }
}

/// The processes are gone, or their parent has only to take notice.
fn assert_gone(pids: &str) {
    for pid in pids.split_whitespace() {
        let deadline = Instant::now() + Duration::from_secs(20);
        let lives = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        while lives() {
            assert!(Instant::now() < deadline, "{pid} lives");
            std::thread::yield_now();
        }
    }
}
