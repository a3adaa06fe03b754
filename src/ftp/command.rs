//! FTP commands: one whole line to a verb and its argument.
//!
//! The grammar is narrower than what servers accept, on purpose: a line that ftplb reads otherwise
//! than the backend would be a way around every rule that looks at the verb (F3, F4). An argument is
//! not looked at and never changed here (F5).

use std::fmt;

use memchr::memchr3;
use nom::bytes::complete::take_while_m_n;
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt, rest};
use nom::sequence::preceded;
use nom::{IResult, Parser};

use super::text::Escaped;

#[cfg(test)]
mod tests;

/// A command line, taken apart.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Command<'a> {
    /// What it asks for.
    pub verb: Verb,
    /// The verb as it was sent: `1*8( ALPHA / DIGIT / "@" )`.
    pub name: &'a [u8],
    /// What follows exactly one space, byte for byte. `None` when there is no space, empty when there
    /// is nothing after it (F5).
    pub argument: Option<&'a [u8]>,
}

/// Why a line is no command. It is answered here and not forwarded.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// Nothing but blanks: `500` (F6).
    #[error("the command line is empty")]
    Empty,
    /// CR, LF or NUL in the line: `501` (F3).
    #[error("the command line contains CR, LF or NUL")]
    Forbidden,
    /// No verb that is followed by a space or by the end of the line, or one that some server takes for
    /// another: `500` (F4).
    #[error("the command line does not begin with a verb")]
    Verb,
}

/// Reads a command line that stands without its line end.
pub fn parse(line: &[u8]) -> Result<Command<'_>, CommandError> {
    if memchr3(b'\r', b'\n', 0, line).is_some() {
        return Err(CommandError::Forbidden);
    }
    if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(CommandError::Empty);
    }
    let (_, command) = command(line).map_err(|_| CommandError::Verb)?;
    if is_disguised(command.name) {
        return Err(CommandError::Verb);
    }
    Ok(command)
}

/// Whether a first line is HTTP, SMTP, SSH, TLS or a PROXY header: a browser or mail server that was made to
/// talk to the FTP port, and whose next lines could be commands (F10), or somebody who would have another
/// address believed (H7).
pub fn is_foreign_protocol(line: &[u8]) -> bool {
    let word = line
        .split(|byte| !byte.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    line.starts_with(b"SSH-")
        || line.starts_with(&TLS_HANDSHAKE_RECORD)
        || line == PROXY_2_LINE
        || FOREIGN_VERBS
            .iter()
            .any(|verb| verb.as_bytes().eq_ignore_ascii_case(word))
}

/// As it was sent, for logs: no password, nothing that drives a terminal (O6).
impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(self.name))?;
        match self.argument {
            Some(_) if self.verb.is_secret() => f.write_str(" ***"),
            Some(argument) => write!(f, " {}", Escaped(argument)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}

/// The verbs that mean something to a session. All others are [`Verb::Unknown`] and pass (F12).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verb {
    /// Abort the transfer (RFC 959).
    Abor,
    /// Account, a kind of password (RFC 959).
    Acct,
    /// Security data (RFC 2228).
    Adat,
    /// Control an application layer gateway (RFC 6384).
    Algs,
    /// Upload to the end of a file (RFC 959).
    Appe,
    /// Choose a security mechanism (RFC 2228, RFC 4217).
    Auth,
    /// Clear the control connection of its protection (RFC 2228).
    Ccc,
    /// Go to the parent directory (RFC 959), also spelt `XCUP`.
    Cdup,
    /// Custom extended passive replies, which carry an address (lftp, P9).
    Cepr,
    /// A confidential command (RFC 2228).
    Conf,
    /// Passive with the server as TLS client, for server-to-server transfers.
    Cpsv,
    /// Go to a directory (RFC 959), also spelt `XCWD`.
    Cwd,
    /// A private command (RFC 2228).
    Enc,
    /// Active data endpoint of any family (RFC 2428).
    Eprt,
    /// Passive data port of any family (RFC 2428).
    Epsv,
    /// Active data endpoint seen by the server (Pure-FTPd).
    Esta,
    /// Passive data endpoint for server-to-server transfers (Pure-FTPd).
    Estp,
    /// List the features (RFC 2389).
    Feat,
    /// Choose a virtual host (RFC 7151).
    Host,
    /// Directory listing (RFC 959).
    List,
    /// Active data endpoint, long form (RFC 1639).
    Lprt,
    /// Passive data endpoint, long form (RFC 1639).
    Lpsv,
    /// An integrity-protected command (RFC 2228).
    Mic,
    /// Machine-readable directory listing (RFC 3659).
    Mlsd,
    /// Name listing (RFC 959).
    Nlst,
    /// Nothing (RFC 959).
    Noop,
    /// Options of a command (RFC 2389).
    Opts,
    /// Password (RFC 959).
    Pass,
    /// Passive data port (RFC 959), also spelt `P@SW` (F12).
    Pasv,
    /// Protection buffer size (RFC 2228).
    Pbsz,
    /// Active data endpoint (RFC 959).
    Port,
    /// Protection level of data connections (RFC 2228).
    Prot,
    /// Tell the directory (RFC 959), also spelt `XPWD`.
    Pwd,
    /// Log out (RFC 959).
    Quit,
    /// Start the session over (RFC 959).
    Rein,
    /// Restart the next transfer in the middle (RFC 959, RFC 3659).
    Rest,
    /// Download (RFC 959).
    Retr,
    /// Rename from (RFC 959).
    Rnfr,
    /// Passive with one port for the session (draft-rosenau-ftp-single-port).
    Spsv,
    /// Server-to-server transfers with TLS: take the TLS client's part.
    Sscn,
    /// Status, of a transfer when one is under way (RFC 959).
    Stat,
    /// Upload (RFC 959).
    Stor,
    /// Upload under a name of the server's choice (RFC 959).
    Stou,
    /// Representation of the data (RFC 959).
    Type,
    /// Any other verb.
    Unknown,
    /// User name (RFC 959).
    User,
}

/// Which way a transfer's bytes go.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// An upload.
    ToBackend,
    /// A download or a listing.
    ToClient,
}

impl Verb {
    /// Which way the data goes that the command moves over a data connection, if it is a transfer
    /// (D16).
    pub const fn transfer(self) -> Option<Direction> {
        match self {
            Self::Appe | Self::Stor | Self::Stou => Some(Direction::ToBackend),
            Self::List | Self::Mlsd | Self::Nlst | Self::Retr => Some(Direction::ToClient),
            _ => None,
        }
    }

    /// Whether the argument must not be logged (O6).
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Acct | Self::Adat | Self::Auth | Self::Pass)
    }

    /// The label in metrics and logs: the verb in upper case, or `other`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Abor => "ABOR",
            Self::Acct => "ACCT",
            Self::Adat => "ADAT",
            Self::Algs => "ALGS",
            Self::Appe => "APPE",
            Self::Auth => "AUTH",
            Self::Ccc => "CCC",
            Self::Cdup => "CDUP",
            Self::Cepr => "CEPR",
            Self::Conf => "CONF",
            Self::Cpsv => "CPSV",
            Self::Cwd => "CWD",
            Self::Enc => "ENC",
            Self::Eprt => "EPRT",
            Self::Epsv => "EPSV",
            Self::Esta => "ESTA",
            Self::Estp => "ESTP",
            Self::Feat => "FEAT",
            Self::Host => "HOST",
            Self::List => "LIST",
            Self::Lprt => "LPRT",
            Self::Lpsv => "LPSV",
            Self::Mic => "MIC",
            Self::Mlsd => "MLSD",
            Self::Nlst => "NLST",
            Self::Noop => "NOOP",
            Self::Opts => "OPTS",
            Self::Pass => "PASS",
            Self::Pasv => "PASV",
            Self::Pbsz => "PBSZ",
            Self::Port => "PORT",
            Self::Prot => "PROT",
            Self::Pwd => "PWD",
            Self::Quit => "QUIT",
            Self::Rein => "REIN",
            Self::Rest => "REST",
            Self::Retr => "RETR",
            Self::Rnfr => "RNFR",
            Self::Spsv => "SPSV",
            Self::Sscn => "SSCN",
            Self::Stat => "STAT",
            Self::Stor => "STOR",
            Self::Stou => "STOU",
            Self::Type => "TYPE",
            Self::Unknown => "other",
            Self::User => "USER",
        }
    }

    fn named(name: &[u8]) -> Self {
        let mut upper = [0; MAX_VERB_BYTES];
        for (to, from) in upper.iter_mut().zip(name) {
            *to = from.to_ascii_uppercase();
        }
        match upper.get(..name.len()).unwrap_or_default() {
            b"ABOR" => Self::Abor,
            b"ACCT" => Self::Acct,
            b"ADAT" => Self::Adat,
            b"ALGS" => Self::Algs,
            b"APPE" => Self::Appe,
            b"AUTH" => Self::Auth,
            b"CCC" => Self::Ccc,
            b"CDUP" | b"XCUP" => Self::Cdup,
            b"CEPR" => Self::Cepr,
            b"CONF" => Self::Conf,
            b"CPSV" => Self::Cpsv,
            b"CWD" | b"XCWD" => Self::Cwd,
            b"ENC" => Self::Enc,
            b"EPRT" => Self::Eprt,
            b"EPSV" => Self::Epsv,
            b"ESTA" => Self::Esta,
            b"ESTP" => Self::Estp,
            b"FEAT" => Self::Feat,
            b"HOST" => Self::Host,
            b"LIST" => Self::List,
            b"LPRT" => Self::Lprt,
            b"LPSV" => Self::Lpsv,
            b"MIC" => Self::Mic,
            b"MLSD" => Self::Mlsd,
            b"NLST" => Self::Nlst,
            b"NOOP" => Self::Noop,
            b"OPTS" => Self::Opts,
            b"PASS" => Self::Pass,
            b"PASV" | b"P@SW" => Self::Pasv,
            b"PBSZ" => Self::Pbsz,
            b"PORT" => Self::Port,
            b"PROT" => Self::Prot,
            b"PWD" | b"XPWD" => Self::Pwd,
            b"QUIT" => Self::Quit,
            b"REIN" => Self::Rein,
            b"REST" => Self::Rest,
            b"RETR" => Self::Retr,
            b"RNFR" => Self::Rnfr,
            b"SPSV" => Self::Spsv,
            b"SSCN" => Self::Sscn,
            b"STAT" => Self::Stat,
            b"STOR" => Self::Stor,
            b"STOU" => Self::Stou,
            b"TYPE" => Self::Type,
            b"USER" => Self::User,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Direction {
    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ToBackend => "to_backend",
            Self::ToClient => "to_client",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

fn command(line: &[u8]) -> IResult<&[u8], Command<'_>> {
    let name = take_while_m_n(1, MAX_VERB_BYTES, is_verb_byte);
    let (end, (name, argument)) =
        all_consuming((name, opt(preceded(char(' '), rest)))).parse(line)?;
    let verb = Verb::named(name);
    Ok((
        end,
        Command {
            verb,
            name,
            argument,
        },
    ))
}

/// Whether a verb is another to pyftpdlib, which finds these behind Telnet bytes that it does not remove.
fn is_disguised(name: &[u8]) -> bool {
    let hidden: [&[u8; 4]; 3] = [b"ABOR", b"QUIT", b"STAT"];
    name.split_last_chunk::<4>().is_some_and(|(front, end)| {
        !front.is_empty() && hidden.iter().any(|verb| end.eq_ignore_ascii_case(*verb))
    })
}

fn is_verb_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'@'
}

/// F4. RFC 959 has verbs of three and four letters; vendors' go up to eight.
const MAX_VERB_BYTES: usize = 8;
/// Content type 22 (handshake), then the major version of every TLS record (RFC 8446 §5.1).
const TLS_HANDSHAKE_RECORD: [u8; 2] = [22, 3];
/// The first line that is not blank of the signature of PROXY protocol 2, which is followed by `QUIT`.
const PROXY_2_LINE: &[u8] = b"\0";
/// F10: what `ProFTPD` and Pure-FTPd close the connection on, and PROXY protocol 1.
const FOREIGN_VERBS: [&str; 12] = [
    "CONNECT", "DELETE", "EHLO", "GET", "HEAD", "HELO", "MAIL", "OPTIONS", "POST", "PROXY", "PUT",
    "RCPT",
];
