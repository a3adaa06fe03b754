//! The wire of FTP's control connection: bytes to values and back.
//!
//! [`mod@line`] cuts a byte stream into lines and takes Telnet out of it, [`command`] and [`reply`]
//! read whole lines, [`endpoint`] reads and writes the addresses in them, [`denial`] names
//! commands that an operator does not want, [`path`], [`representation`] and [`extent`] say what a transfer is about, and
//! [`text`] makes what a peer sent fit for a log. Nothing here decides what a session may do: a foreign address or a
//! privileged port is a well-formed value, and refusing it is the session's business.
//!
//! Invariants: no function panics, whatever the bytes; no input makes work that is more than linear
//! in its length; everything that ftplb writes itself is 7-bit and ends in exactly one CRLF (F2, F8).

pub mod command;
pub mod denial;
pub mod endpoint;
pub mod extent;
pub mod line;
pub mod path;
pub mod reply;
pub mod representation;
pub mod text;
