//! The bytes of a transfer: known by their position, so that what arrives can be checked.

use std::io;
use std::sync::LazyLock;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Writes the first `total` bytes of the payload.
pub(crate) async fn send(stream: &mut TcpStream, total: u64) -> io::Result<()> {
    let mut position = 0;
    while position < total {
        let written = stream.write(expected(position, total - position)).await?;
        position += written as u64;
    }
    Ok(())
}

/// Reads up to FIN. An error unless exactly the first `total` bytes of the payload came.
pub(crate) async fn receive(stream: &mut TcpStream, total: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK.min(usize::try_from(total).unwrap_or(CHUNK)).max(1)];
    let mut position = 0;
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        let came = buffer.get(..read).unwrap_or_default();
        if !is_right(came, position, total) {
            let text = format!("wrong bytes after {position} of {total}");
            return Err(io::Error::other(text));
        }
        position += read as u64;
    }
    if position == total {
        Ok(())
    } else {
        let text = format!("{position} bytes arrived, not {total}");
        Err(io::Error::other(text))
    }
}

/// Compares every byte of a transfer up to [`COMPARED`], and the ends of each read of a longer one:
/// comparing all would slow down the load and hide what the balancer costs.
fn is_right(came: &[u8], position: u64, total: u64) -> bool {
    let rest = total.saturating_sub(position);
    let wanted = expected(position, rest.min(came.len() as u64));
    if wanted.len() != came.len() {
        return false;
    }
    if total <= COMPARED || came.len() < 2 * EDGE {
        return wanted == came;
    }
    wanted.first_chunk::<EDGE>() == came.first_chunk::<EDGE>()
        && wanted.last_chunk::<EDGE>() == came.last_chunk::<EDGE>()
}

/// The payload from `position` on: as much of `length` as fits a chunk.
fn expected(position: u64, length: u64) -> &'static [u8] {
    static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(noise);
    let start = usize::try_from(position % PERIOD as u64).unwrap_or_default();
    let length = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
    PAYLOAD.get(start..start + length).unwrap_or_default()
}

/// One period and a chunk, so that a chunk can start anywhere (xorshift).
fn noise() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(PERIOD)
    .collect();
    bytes.extend_from_within(..CHUNK);
    bytes
}

/// A prime: bytes that are lost, doubled or moved by any round number are noticed.
const PERIOD: usize = 1_048_573;

/// Of one read or write.
pub(crate) const CHUNK: usize = 256 << 10;

/// Transfers up to this size are compared byte for byte.
pub(crate) const COMPARED: u64 = 16 << 20;

/// What is compared at both ends of a read of a longer transfer.
const EDGE: usize = 64;
