//! A control connection of the sink or of the load: lines and nothing else.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Control {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Control {
    /// Takes over `stream`. Every line is sent at once.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: BytesMut::with_capacity(LINE),
        })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends `line`, which has its end.
    pub(crate) async fn say(&mut self, line: &[u8]) -> io::Result<()> {
        self.stream.write_all(line).await
    }

    /// The next line without its end, none after FIN.
    pub(crate) async fn line(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.buffer.split_to(end + 1).freeze();
                return Ok(Some(line.slice(..line.trim_ascii_end().len())));
            }
            self.buffer.reserve(LINE);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Longer than what either party says.
const LINE: usize = 256;
