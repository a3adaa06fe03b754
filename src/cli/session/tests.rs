//! How the list of sessions reads.

use super::*;
use crate::ops::status::TransferStatus;

#[test]
fn the_list_says_who_does_what_where() {
    let connecting = SessionStatus {
        id: 9,
        client: "198.51.100.7:40001".parse().unwrap(),
        listener: "0.0.0.0:21".into(),
        vip: "192.0.2.1:21".parse().unwrap(),
        pool: "files".into(),
        backend: None,
        backend_address: None,
        user: None,
        phase: "waiting".into(),
        age_seconds: 1.2,
        idle_seconds: 1.2,
        idle_left_seconds: None,
        transfer: None,
        transfers: 0,
        to_client_bytes: 0,
        to_backend_bytes: 0,
    };
    let moving = SessionStatus {
        id: 10,
        backend: Some("a".into()),
        user: Some("anna".into()),
        phase: "transfer".into(),
        age_seconds: 75.0,
        idle_seconds: 0.0,
        transfer: Some(TransferStatus {
            verb: "STOR".into(),
            direction: "to_backend".into(),
            bytes: 1_500_000,
            seconds: 3.0,
            file: None,
            size: None,
        }),
        to_backend_bytes: 2_000_000,
        ..connecting.clone()
    };
    let sessions = SessionList {
        total: 2,
        sessions: vec![connecting, moving],
    };
    let expected = "\
ID  CLIENT              USER  LISTENER    POOL   BACKEND  PHASE     AGE    IDLE  TO CLIENT  TO BACKEND  TRANSFER
9   198.51.100.7:40001  -     0.0.0.0:21  files  -        waiting   1s     1s    0          0           -
10  198.51.100.7:40001  anna  0.0.0.0:21  files  a        transfer  1m15s  0s    0          2.0M        STOR 1.5M in 3s
";
    assert_eq!(list(&sessions), expected);
}
