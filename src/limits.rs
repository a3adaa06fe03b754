//! Every bound of a session, with its unit, its default and the reason for the default.
//!
//! Pure values: who enforces which is said beside each. protocol.md §12 (O1–O8) and design.md "Limits".
//! What is counted against them is here too: `tally` has sessions, `rate` how often something happens.

mod rate;
mod refusal;
mod tally;

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

pub use self::rate::{Bucket, Buckets, Rate};
pub use self::refusal::Refusal;
pub use self::tally::{Place, Tally};

/// The bounds on buffers, queues and counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Sessions in all, held by the listeners. More get `421`. One session costs two descriptors while
    /// idle, six in a spliced transfer, and seven when the port of the next one is leased by then, so 2,000
    /// fit the 20,000 descriptors that hosts commonly allow, whatever they do (O1).
    pub sessions: usize,
    /// Sessions of one client address. A NAT gateway or a parallel mirror opens dozens (O1).
    pub sessions_per_client: usize,
    /// Sessions of one network. Half of all: whoever has a whole network, as everybody has on IPv6, leaves
    /// the other half to others (O1).
    pub sessions_per_network: usize,
    /// Bits of a network of IPv4 clients: the least that is routed by itself.
    pub prefix_v4: u8,
    /// Bits of a network of IPv6 clients: what one customer, or one LAN, has at least.
    pub prefix_v6: u8,
    /// Sessions in all that have not logged in. As many as there may be sessions: fewer keep backends from
    /// being busy with logins, and make it easier to keep others out (O1).
    pub sessions_before_login: usize,
    /// Sessions of one client address that have not logged in (O1).
    pub sessions_before_login_per_client: usize,
    /// How often one client may connect, whatever becomes of it. More get `421`. Off: a mirror with a
    /// session for each file connects as fast as it can.
    pub connection_rate: Option<Rate>,
    /// How often one client may ask for a passive port, over all its sessions. More get `425` (P19). Off: a
    /// mirror of small files asks as fast as it can.
    pub passive_rate: Option<Rate>,
    /// How many commands of one session are read. The others wait unread, and none is lost (O5).
    pub command_rate: Option<Rate>,
    /// The same for replies of its backend.
    pub reply_rate: Option<Rate>,
    /// Bytes of one command line with its line end. vsftpd and FileZilla Server take 4096 (F7).
    pub command_line_bytes: usize,
    /// Bytes of one reply line with its line end. Python's `ftplib` reads 8192 (R9).
    pub reply_line_bytes: usize,
    /// Lines of one reply: a `STAT` of a huge directory is the longest that is seen (R9).
    pub reply_lines: usize,
    /// Bytes of one reply (R9).
    pub reply_bytes: usize,
    /// Commands sent and not yet answered, with those that wait behind a PASV. Then the client is not
    /// read until replies come (O5). Servers answer a NOOP after the transfer that it was sent in: at one
    /// every 30 s, O5's 64 would be reached, and an ABOR not be heard, after half an hour.
    pub pending_commands: usize,
    /// Bytes waiting to be written in one direction of a control connection. Then the other side is
    /// not read until they are gone (O5).
    pub queued_bytes: usize,
    /// Passive ports promised at a time to one client address, over all its sessions (P19).
    pub leases_per_client: usize,
    /// Commands that are refused before login. Then `421`: it is no FTP client (O2).
    pub errors_before_login: u32,
    /// Backends tried for one session before the client is told `421`.
    pub tries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 2_000,
            sessions_per_client: 200,
            sessions_per_network: 1_000,
            prefix_v4: 24,
            prefix_v6: 64,
            sessions_before_login: 2_000,
            sessions_before_login_per_client: 200,
            connection_rate: None,
            passive_rate: None,
            command_rate: None,
            reply_rate: None,
            command_line_bytes: 4_096,
            reply_line_bytes: 8_192,
            reply_lines: 10_000,
            reply_bytes: 1 << 20,
            pending_commands: 1_024,
            queued_bytes: 64 << 10,
            leases_per_client: 20,
            errors_before_login: 10,
            tries: 3,
        }
    }
}

impl Limits {
    /// The network of `client`, all of whose sessions count together.
    pub fn network(&self, client: IpAddr) -> IpNet {
        let prefix = if client.is_ipv4() {
            self.prefix_v4
        } else {
            self.prefix_v6
        };
        tally::network(client, prefix)
    }

    /// Whose rate it is that `client` comes at: an IPv4 address is somebody, and on IPv6 a network is.
    pub fn source(&self, client: IpAddr) -> IpAddr {
        if client.is_ipv4() {
            client
        } else {
            self.network(client).addr()
        }
    }
}

/// The deadlines of the waits. Each wait of a session has exactly one of these names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// Connecting a backend's control port. Then the next backend is tried.
    pub connect: Duration,
    /// From the connection to the last line of the backend's greeting. Then the next backend is tried.
    pub greeting: Duration,
    /// From the greeting to the first `USER` (O2).
    pub user: Duration,
    /// From the greeting to a successful login. ProFTPD's value (O2).
    pub login: Duration,
    /// From the first byte of a command line to its end, against slow senders (O2).
    pub line: Duration,
    /// Logged in and silent, with no data connection alive. RFC 1123 §4.1.3.2 wants at least five
    /// minutes (O3).
    pub idle: Duration,
    /// From a command to its reply, with no data connection alive. A backend that is frozen would
    /// otherwise keep its clients for the idle time.
    pub reply: Duration,
    /// From 227/229 to the client's data connection. At least 30 s, RFC 6384 §12 (P14).
    pub data_open: Duration,
    /// Connecting the second leg of a data connection, either way (A9).
    pub data_dial: Duration,
    /// A data connection on which no byte moves. Then both legs are reset (O3).
    pub data_idle: Duration,
    /// After the client's FIN on an upload, how long its control connection is watched at least before the
    /// FIN is passed on, see [`Self::upload_doubt`]. If that closes as well, the client has died and the
    /// upload is cut (decision 5). Zero: every FIN is believed at once.
    pub upload_end: Duration,
    /// A reply that closes a transfer waits for the last byte to the client while bytes move, and this
    /// long when none do (R13). Also how long a closed backend's data may still drain (S15).
    pub settle: Duration,
    /// From the order to stop to the end of the last transfer (O8).
    pub drain: Duration,
    /// From the order to drain a backend, or its removal, to the end of its last session.
    pub backend_drain: Duration,
    /// How long a session of a draining backend must be idle to be ended. Longer than clients take from one
    /// command to the next, and shorter than people do.
    pub drain_idle: Duration,
    /// From when another ftplb has taken over to the end of this one. Whoever is in a session then goes on as
    /// before, and after half of it leaves at the first pause.
    pub upgrade: Duration,
    /// TCP keepalive: idle time before the first probe on either control connection (K5).
    pub keepalive: Duration,
}

impl Timeouts {
    /// How long the end of an upload that has `lasted` so long is in doubt (decision 5).
    ///
    /// A killed curl's two FINs were seen 35 µs apart, data first; but a process that dies on a busy host
    /// waits for the processor between them, for longer than [`Self::upload_end`] (seen with six busy loops
    /// beside it). The longer an upload, the likelier it is the one that a kill meets, and the less does it
    /// matter to wait: so a sixteenth of it is waited, within bounds.
    pub fn upload_doubt(&self, lasted: Duration) -> Duration {
        if self.upload_end.is_zero() {
            return Duration::ZERO;
        }
        (lasted / 16).min(MOST_UPLOAD_DOUBT).max(self.upload_end)
    }
}

/// What is waited for a death, where [`Timeouts::upload_end`] is not longer: many turns of a busy processor.
const MOST_UPLOAD_DOUBT: Duration = Duration::from_millis(100);

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            greeting: Duration::from_secs(10),
            user: Duration::from_secs(60),
            login: Duration::from_secs(300),
            line: Duration::from_secs(30),
            idle: Duration::from_secs(600),
            reply: Duration::from_secs(300),
            data_open: Duration::from_secs(60),
            data_dial: Duration::from_secs(30),
            data_idle: Duration::from_secs(300),
            upload_end: Duration::from_millis(2),
            settle: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            backend_drain: Duration::from_secs(300),
            drain_idle: Duration::from_secs(1),
            upgrade: Duration::from_secs(3_600),
            keepalive: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decision_5_doubt_of_an_upload_grows_with_it_within_bounds() {
        let doubt = |upload_end, lasted| {
            let upload_end = Duration::from_millis(upload_end);
            let timeouts = Timeouts {
                upload_end,
                ..Timeouts::default()
            };
            let doubt = timeouts.upload_doubt(Duration::from_millis(lasted));
            u64::try_from(doubt.as_millis()).unwrap()
        };
        let of_milliseconds = [
            (2, 0, 2),
            (2, 32, 2),
            (2, 160, 10),
            (2, 1_600, 100),
            (2, 60_000, 100),
            (300, 60_000, 300),
            (0, 60_000, 0),
        ];
        for (upload_end, lasted, expected) in of_milliseconds {
            assert_eq!(doubt(upload_end, lasted), expected, "{upload_end} {lasted}");
        }
    }
}
