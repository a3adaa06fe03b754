use std::net::SocketAddr;

use super::super::{Finding, ProbeError};
use super::{LONG, SHORT, run, subject};
use crate::config::{Probe, Script};
use crate::ops::script::ScriptError;

const ADDRESS: SocketAddr = SocketAddr::new(super::LOCALHOST, 21);

fn script(text: &str, dynamic_weight: bool) -> Probe {
    Probe::Script {
        script: Script {
            words: ["sh", "-c", text].map(str::to_owned).into(),
            run_as: None,
        },
        dynamic_weight,
    }
}

#[tokio::test]
async fn exit_codes_mean_what_they_do_for_keepalived() {
    for (code, dynamic_weight, expected) in [
        (0, false, Some(None)),
        (1, false, None),
        (2, false, None),
        (0, true, Some(None)),
        (1, true, None),
        (2, true, Some(Some(0))),
        (12, true, Some(Some(10))),
        (255, true, Some(Some(253))),
    ] {
        let probe = script(&format!("exit {code}"), dynamic_weight);
        let found = run(&subject(ADDRESS, probe, LONG)).await.ok();
        let expected = expected.map(|weight| Finding {
            weight,
            diagnosis: None,
        });
        assert_eq!(found, expected, "{code}, dynamic {dynamic_weight}");
    }
}

#[tokio::test]
async fn a_script_is_told_the_address_and_what_it_says_is_in_the_error() {
    let probe = script("echo \"$FTPLB_ADDRESS is down\"; exit 1", false);
    let error = run(&subject(ADDRESS, probe, LONG)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh exited with 1 and said \"127.0.0.1:21 is down\""
    );
}

#[tokio::test]
async fn a_script_that_is_killed_or_too_slow_has_failed() {
    for (text, limit) in [("kill -9 $$", LONG), ("sleep 1000", SHORT)] {
        let found = run(&subject(ADDRESS, script(text, true), limit)).await;
        let is_killed = |error: &ScriptError| {
            matches!(
                error,
                ScriptError::Signal { signal: 9, .. } | ScriptError::Timeout { .. }
            )
        };
        assert!(
            matches!(&found, Err(ProbeError::Script(error)) if is_killed(error)),
            "{found:?}"
        );
    }
}
