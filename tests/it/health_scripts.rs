//! Programs of the operator's: those that check, and those that hear of changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::health::{Http, checked_by, greeter, wait_until};
use crate::process::eventually;
use crate::proxy::Setup;
use crate::scripted::Peer;

const WEIGHT: &str = "ftplb_backend_weight";

/// A directory for what scripts read and write.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        // Scripts may be run as others.
        fs::set_permissions(
            home.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )
        .unwrap();
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A script in a file of its own, and its path.
    fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// A script that adds a line to the log on the desk.
    fn noting(&self, line: &str) -> String {
        let log = self.path("log");
        self.script("note", &format!("echo \"{line}\" >> {}", log.display()))
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for_lines(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} lines of scripts"), || {
            self.lines().len() >= count
        });
        self.lines()
    }
}

#[test]
fn script_check_sets_the_weight_of_its_backend() {
    let desk = Desk::new();
    let word = desk.path("word");
    fs::write(&word, "0").unwrap();
    let check = desk.script(
        "check",
        &format!(
            "echo \"$1 $FTPLB_ADDRESS\" > {}; exit $(cat {})",
            desk.path("log").display(),
            word.display()
        ),
    );
    let backend = greeter("220 Good.");
    let probe =
        format!("probe = \"script\", command = \"{check} 'two words'\", dynamic_weight = true");
    let proxy = Setup::new(&[backend]).pool(&checked_by(&probe)).start();
    for (code, weight, up) in [
        (12, 10.0, true),
        (2, 0.0, true),
        (1, 0.0, false),
        (255, 253.0, true),
        (0, 253.0, true),
    ] {
        fs::write(&word, code.to_string()).unwrap();
        proxy.wait_for_metric(WEIGHT, &[], weight);
        wait_until(&proxy, "b0", up);
    }
    assert_eq!(desk.wait_for_lines(1), [format!("two words {backend}")]);
    proxy.wait_for_log("check exited with 1", 1);
}

#[test]
fn script_check_that_hangs_is_killed_with_its_children() {
    let desk = Desk::new();
    let check = desk.script(
        "check",
        &format!(
            "sleep 1000 & echo $! >> {}; wait",
            desk.path("log").display()
        ),
    );
    let backend = greeter("220 Good.");
    let probe = format!("probe = \"script\", command = \"{check}\"");
    let pool = checked_by(&probe).replace("\"1s\"", "\"300ms\"");
    let proxy = Setup::new(&[backend]).pool(&pool).start_unready();
    wait_until(&proxy, "b0", false);
    proxy.wait_for_log("was not done within 300ms, and was killed", 1);
    let child = desk.wait_for_lines(1).remove(0);
    eventually("the child is gone", || {
        !Path::new("/proc").join(&child).join("exe").exists()
    });
}

#[test]
fn scripts_hear_of_every_change_in_its_order() {
    let desk = Desk::new();
    let note =
        desk.noting("$* $FTPLB_POOL $FTPLB_BACKEND $FTPLB_ADDRESS $FTPLB_STATE $FTPLB_QUORUM");
    let http = Http::start();
    http.answer(200, "");
    let backend = greeter("220 Good.");
    let probe = format!("probe = \"http\", address = \"{}:{}\"", http.ip, http.port);
    let pool = format!(
        "on_up = \"{note} up 'as written'\"\non_down = [\"{note}\", \"down\"]\n\
         quorum = {{ on_up = \"{note} gained\", on_down = {{ command = \"{note} lost\" }} }}\n{}",
        checked_by(&probe)
    );
    let proxy = Setup::new(&[backend]).pool(&pool).start();
    http.answer(500, "");
    wait_until(&proxy, "b0", false);
    let mut expected = vec![
        format!("down p b0 {backend} down "),
        "lost p   down lost".to_owned(),
    ];
    assert_eq!(
        desk.wait_for_lines(2),
        expected,
        "nothing was told of the beginning"
    );
    http.answer(200, "");
    wait_until(&proxy, "b0", true);
    expected.extend([
        format!("up as written p b0 {backend} up "),
        "gained p   up held".to_owned(),
    ]);
    assert_eq!(desk.wait_for_lines(4), expected);
}

#[test]
fn script_runs_as_the_user_that_is_wanted() {
    let desk = Desk::new();
    let log = desk.path("log");
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let note = desk.script(
        "who",
        &format!("echo $(id -un) $(id -G | wc -w) >> {}", log.display()),
    );
    let http = Http::start();
    let probe = format!("probe = \"http\", address = \"{}:{}\"", http.ip, http.port);
    let pool = format!(
        "on_up = {{ command = \"{note}\", run_as = \"daemon\" }}\non_down = \"{note}\"\n{}",
        checked_by(&probe)
    );
    let proxy = Setup::new(&[greeter("220 Good.")])
        .pool(&pool)
        .tables("[scripts]\nrun_as = \"nobody\"\n")
        .start();
    http.answer(500, "");
    wait_until(&proxy, "b0", false);
    assert_eq!(desk.wait_for_lines(1), ["nobody 1"]);
    http.answer(200, "");
    assert_eq!(desk.wait_for_lines(2), ["nobody 1", "daemon 1"]);
}

#[test]
fn script_that_fails_or_hangs_is_told_of_and_changes_nothing() {
    let desk = Desk::new();
    let http = Http::start();
    let probe = format!("probe = \"http\", address = \"{}:{}\"", http.ip, http.port);
    let hangs = desk.script("hangs", "echo begun; sleep 1000");
    let fails = desk.script("fails", "echo no luck >&2; exit 3");
    let pool = format!(
        "on_down = \"{hangs}\"\non_up = \"{fails}\"\n{}",
        checked_by(&probe)
    );
    let proxy = Setup::new(&[greeter("220 Good.")])
        .pool(&pool)
        .tables("[scripts]\ntimeout = \"300ms\"\n")
        .start();
    http.answer(500, "");
    wait_until(&proxy, "b0", false);
    http.answer(200, "");
    wait_until(&proxy, "b0", true);
    let lines = proxy.wait_for_log("script failed", 2);
    assert!(
        lines[0].contains("was not done within 300ms"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains("\"code\":3") && lines[1].contains("no luck"),
        "{}",
        lines[1]
    );
    for line in lines {
        assert!(
            line.contains("\"backend\":\"b0\"") && line.contains("\"pool\":\"p\""),
            "{line}"
        );
    }
    Peer::connect(proxy.address).reply(220);
}

#[test]
fn omega_tells_of_the_end_and_ftplb_waits_for_that() {
    for omega in [true, false] {
        let desk = Desk::new();
        let log = desk.path("log");
        let note = desk.script(
            "note",
            &format!(
                "sleep 0.3; echo $FTPLB_STATE $FTPLB_BACKEND $FTPLB_QUORUM >> {}",
                log.display()
            ),
        );
        let pool = format!(
            "omega = {omega}\non_down = \"{note}\"\nquorum = {{ on_down = \"{note}\" }}\n{}",
            checked_by("probe = \"tcp\"")
        );
        let up = greeter("220 Good.");
        let down = crate::scripted::Door::new().address();
        let mut proxy = Setup::new(&[up, down]).pool(&pool).start();
        wait_until(&proxy, "b1", false);
        assert_eq!(desk.wait_for_lines(1), ["down b1"]);
        proxy.signal(Signal::SIGTERM);
        assert_eq!(proxy.finish().code(), 0);
        let told = if omega {
            &["down b1", "down b0", "down lost"][..]
        } else {
            &["down b1"]
        };
        assert_eq!(desk.lines(), told);
    }
}

#[test]
fn second_order_to_stop_ends_scripts_as_well() {
    let desk = Desk::new();
    let hangs = desk.script(
        "hangs",
        &format!("touch {}; sleep 1000", desk.path("begun").display()),
    );
    let pool = format!(
        "omega = true\non_down = \"{hangs}\"\n{}",
        checked_by("probe = \"tcp\"")
    );
    let mut proxy = Setup::new(&[greeter("220 Good.")]).pool(&pool).start();
    let begin = Instant::now();
    proxy.signal(Signal::SIGTERM);
    eventually("the script runs", || desk.path("begun").exists());
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.finish().code(), 0);
    assert!(
        begin.elapsed() < Duration::from_secs(9),
        "{:?}",
        begin.elapsed()
    );
    proxy.wait_for_log("a script was killed: ftplb stops", 1);
}
