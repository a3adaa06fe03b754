use std::future::poll_fn;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::net::testing::{leg, soon};

/// Polls until `count` bytes were moved and the pump waits.
async fn move_all(pump: &mut Pump, from: &Leg, to: &Leg, count: u64) {
    soon(poll_fn(|cx| {
        let waits = pump.poll(from, to, false, cx).is_pending();
        assert!(waits, "the source has not ended");
        if pump.moved() == count {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }))
    .await;
}

async fn fill(peer: &mut TcpStream, bytes: usize) {
    soon(peer.write_all(&vec![7; bytes])).await.unwrap();
}

#[tokio::test]
async fn a_pump_with_a_silent_source_holds_neither_buffer_nor_pipe() {
    for splicing in [Splicing::WhenLong, Splicing::Never, Splicing::Always] {
        let (from, mut sender) = leg().await;
        let (to, _receiver) = leg().await;
        let mut pump = Pump::new(splicing);
        move_all(&mut pump, &from, &to, 0).await;
        assert!(matches!(pump.store, Store::Nothing));
        // Both below what the sockets hold, so that nobody needs to read.
        fill(&mut sender, 1000).await;
        move_all(&mut pump, &from, &to, 1000).await;
        assert!(matches!(pump.store, Store::Nothing));
        fill(&mut sender, 70_000).await;
        move_all(&mut pump, &from, &to, 71_000).await;
        fill(&mut sender, 1000).await;
        move_all(&mut pump, &from, &to, 72_000).await;
        assert!(matches!(pump.store, Store::Nothing));
    }
}

#[tokio::test]
async fn a_short_transfer_takes_no_pipe_and_a_long_one_does() {
    let mut pump = Pump::new(Splicing::WhenLong);
    assert!(!pump.wants_pipe());
    pump.moved = SPLICE_AFTER;
    assert!(pump.wants_pipe());
    pump.splicing = Splicing::Never;
    assert!(!pump.wants_pipe());
}

#[tokio::test]
async fn a_pipe_that_can_not_be_had_is_no_failure() {
    let (from, mut sender) = leg().await;
    let (to, _receiver) = leg().await;
    let mut pump = Pump::new(Splicing::Always);
    fill(&mut sender, 1000).await;
    let error = io::ErrorKind::QuotaExceeded.into();
    soon(poll_fn(|cx| pump.fall_back(&error, &from, &to, cx)))
        .await
        .unwrap();
    assert_eq!(pump.moved(), 1000);
    assert_eq!(pump.splicing, Splicing::Never);
}
