//! Each difference is one line, and none shows a secret.

use super::super::check::tests::{GOOD, result};
use super::{Change, Effect, diff, keep_what_needs_a_restart};
use crate::config::Config;

const BASE: &str = r#"
[[listener]]
address = "0.0.0.0:21"
pool = "files"
[[listener]]
address = "[::]:21"
pool = "files"
[[pool]]
name = "files"
health = { probe = "login", user = "u", password = "first" }
[[pool.backend]]
address = "10.0.0.1"
name = "a"
[[pool.backend]]
address = "10.0.0.2"
[[pool.discover]]
name = "ftp.example"
[[pool]]
name = "more"
[[pool.backend]]
address = "10.0.1.1"
health = { probe = "transfer", user = "u", password = "first" }
[timeouts]
idle = "15m"
"#;

fn config(text: &str) -> Config {
    let problems = |problems| panic!("{text}\n{problems:#?}");
    result(text).unwrap_or_else(problems).config
}

/// What is different when each of `edits` replaces the first text by the second.
fn after(edits: &[(&str, &str)]) -> Vec<Change> {
    let edit = |text: String, (old, new): &(&str, &str)| {
        assert!(text.contains(old), "{old}");
        text.replacen(old, new, 1)
    };
    let edited = edits.iter().fold(BASE.to_owned(), edit);
    diff(&config(BASE), &config(&edited))
}

/// Edits, and what they change.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

const CASES: &[Case] = &[
    (&[], &[]),
    (&[("15m", "30m")], &["timeouts.idle 15m → 30m"]),
    (
        &[("[timeouts]", "[limits]\nsessions = 7\n[timeouts]")],
        &[
            "limits.sessions 2000 → 7",
            "limits.sessions_before_login 2000 → 7",
            "limits.sessions_per_network 1000 → 200",
        ],
    ),
    (
        &[(
            "pool = \"files\"",
            "pool = \"files\"\npassive_ports = \"10000-12000\"",
        )],
        &["listener 0.0.0.0:21: passive_ports 10000-20000 → 10000-12000"],
    ),
    (
        &[("pool = \"files\"", "pool = \"more\"")],
        &["listener 0.0.0.0:21: pool files → more"],
    ),
    (
        &[(
            "pool = \"files\"",
            "pool = \"files\"\nadvertise = \"192.0.2.1\"",
        )],
        &["listener 0.0.0.0:21: advertise not set → 192.0.2.1"],
    ),
    (
        &[("[::]:21", "[::]:2121")],
        &["listener [::]:21 removed", "listener [::]:2121 added"],
    ),
    (
        &[(
            "\n[[pool.discover]]",
            "\n[[pool.backend]]\naddress = \"10.0.0.3\"\n[[pool.discover]]",
        )],
        &["pool files: backend 10.0.0.3:21 added"],
    ),
    (
        &[(
            "[[pool.backend]]\naddress = \"10.0.0.1\"\nname = \"a\"\n",
            "",
        )],
        &["pool files: backend a (10.0.0.1:21) removed"],
    ),
    (
        &[("name = \"a\"", "name = \"b\"\nweight = 0")],
        &[
            "pool files: backend b (10.0.0.1:21): name a → b",
            "pool files: backend b (10.0.0.1:21): weight 1 → 0",
        ],
    ),
    (
        &[
            ("10.0.0.1\"\nname = \"a\"", "10.0.0.2\""),
            (
                "\"10.0.0.2\"\n[[pool.discover]]",
                "\"10.0.0.1\"\nname = \"a\"\n[[pool.discover]]",
            ),
        ],
        &["pool files: backends in another order"],
    ),
    (
        &[("ftp.example\"", "ftp.example\"\nweight = 3")],
        &["pool files: discover address ftp.example 21: weight 1 → 3"],
    ),
    (
        &[("ftp.example", "other.example")],
        &[
            "pool files: discover address ftp.example 21 removed",
            "pool files: discover address other.example 21 added",
        ],
    ),
    (
        &[("name = \"more\"", "name = \"less\"")],
        &["pool more removed", "pool less added"],
    ),
    (
        &[(
            "name = \"files\"\n",
            "name = \"files\"\naffinity = { timeout = \"1m\" }\nalgorithm = \"rr\"\n",
        )],
        &[
            "pool files: affinity false → { entries = 1000000, prefix_v4 = 32, prefix_v6 = 128, timeout = \"1m\" }",
            "pool files: algorithm weighted_least_connections → round_robin",
        ],
    ),
    (
        &[("\"first\"", "\"first\", interval = \"1s\"")],
        &[
            "pool files: health.interval 5s → 1s",
            "pool files: health.retry_interval 5s → 1s",
            "pool files: health.warmup 1s 250ms → 250ms",
        ],
    ),
    (
        &[("\"first\"", "\"second\"")],
        &["pool files: health: another password"],
    ),
    (
        &[(
            "probe = \"transfer\", user = \"u\", password = \"first\"",
            "probe = \"transfer\", user = \"w\", password = \"second\"",
        )],
        &[
            "pool more: backend 10.0.1.1:21: health.user u → w",
            "pool more: backend 10.0.1.1:21: health: another password",
        ],
    ),
    (
        &[(
            "[timeouts]",
            "[admin]\naddress = \"127.0.0.1:9121\"\n[timeouts]",
        )],
        &["admin false → { address = \"127.0.0.1:9121\", page = \"full\" }"],
    ),
];

#[test]
fn each_change_is_told_in_one_line() {
    for (edits, expected) in CASES {
        let changes = after(edits);
        let texts: Vec<_> = changes.iter().map(|change| change.text.as_str()).collect();
        assert_eq!(texts, *expected);
        assert!(
            changes
                .iter()
                .all(|change| change.effect == Effect::Applied)
        );
    }
}

#[test]
fn no_secret_is_told() {
    let lists = [
        (
            "{ probe = \"login\", user = \"u\", password = \"first\" }",
            "false",
        ),
        ("\"login\", user = \"u\", password = \"first\"", "\"tcp\""),
        (
            "password = \"first\"",
            "password = \"second\", interval = \"1s\"",
        ),
    ];
    for edit in lists {
        for Change { text, .. } in after(&[edit]) {
            assert!(
                !text.contains("first") && !text.contains("second"),
                "{text}"
            );
        }
    }
}

#[test]
fn what_needs_a_restart_says_so_each_time() {
    let before = config(GOOD);
    let mut now = config(&format!(
        "{GOOD}[log]\nformat = \"json\"\nfile = \"/var/log/x\"\nfilter = \"warn\"\n\
         [process]\nuser = \"ftplb\"\nprivileged_ports = false\n\
         [transfer_log]\nformat = \"xferlog\"\nfile = \"/var/log/y\"\n"
    ));
    let changes = diff(&before, &now);
    let lines: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "log.file not set → /var/log/x: holds from the next start on",
            "log.filter info → warn",
            "log.format text → json: holds from the next start on",
            "process.privileged_ports true → false: holds from the next start on",
            "process.sandbox false → true: holds from the next start on",
            "process.user not set → ftplb: holds from the next start on",
            "transfer_log.file not set → /var/log/y: holds from the next start on",
            "transfer_log.format json → xferlog: holds from the next start on",
        ]
    );
    keep_what_needs_a_restart(&before, &mut now);
    let kept = diff(&before, &now);
    assert!(kept.iter().all(|change| change.effect == Effect::Applied));
    assert_eq!(kept.len(), 1);
}
