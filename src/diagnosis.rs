//! What is wrong with a backend, as far as what it says shows it.
//!
//! Each [`Diagnosis`] is something that its operator can do something about. Most are seen in what a session
//! does anyhow; the refusals of [`Diagnosis::of_reply`] are known by their words, which differ from server to
//! server and are found in no RFC. A client can make some servers repeat a text of its own, so the words count
//! only with their code and in answer to what they are about. What is not known is no diagnosis: a wrong one
//! costs an operator more than none.

use crate::ftp::reply::Code;

/// Something about a backend that its operator should know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Diagnosis {
    /// It refuses ftplb's data connections, or PORT and EPRT, for the address in them.
    DataAddressRefused,
    /// It named an address in 227 that is not the one of its control connection (P2).
    ForeignAddress,
    /// It answered PASV or EPSV without a port, or with one below 1024 (P4).
    NoDataPort,
    /// It sent something that is no FTP reply (R9).
    NotFtp,
    /// It sent a line or a reply over the limit (R9).
    ReplyTooLong,
    /// It turns sessions away, most likely by a limit of its own.
    SessionLimit,
    /// It did not greet within `timeouts.greeting`.
    SlowGreeting,
    /// It wants the TLS session of the control connection resumed on data connections (X12).
    TlsReuseRequired,
    /// It named a data port that nobody asked for (R4).
    UnaskedDataPort,
}

/// What a reply of the backend answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The connection itself.
    Greeting,
    /// USER, PASS or ACCT.
    Login,
    /// PORT, EPRT or a transfer command; or nothing, as pyftpdlib says it when the connection comes.
    Data,
}

impl Diagnosis {
    /// Every diagnosis, for metrics that are to exist before their first increment.
    pub const ALL: [Self; 9] = [
        Self::DataAddressRefused,
        Self::ForeignAddress,
        Self::NoDataPort,
        Self::NotFtp,
        Self::ReplyTooLong,
        Self::SessionLimit,
        Self::SlowGreeting,
        Self::TlsReuseRequired,
        Self::UnaskedDataPort,
    ];

    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::DataAddressRefused => "data_address_refused",
            Self::ForeignAddress => "foreign_address",
            Self::NoDataPort => "no_data_port",
            Self::NotFtp => "not_ftp",
            Self::ReplyTooLong => "reply_too_long",
            Self::SessionLimit => "session_limit",
            Self::SlowGreeting => "slow_greeting",
            Self::TlsReuseRequired => "tls_reuse_required",
            Self::UnaskedDataPort => "unasked_data_port",
        }
    }

    /// One sentence for the operator: what it is, and what to change on that backend.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::DataAddressRefused => {
                "the backend refuses data connections because it sees another address on them than on the \
                 control connection: take the NAT between ftplb and it away, or let it accept them \
                 (vsftpd pasv_promiscuous and port_promiscuous, ProFTPD AllowForeignAddress, \
                 pyftpdlib permit_foreign_addresses, SFTPGo passive_connections_security and \
                 active_connections_security, IIS matchClientAddressForPasv and matchClientAddressForPort)"
            }
            Self::ForeignAddress => {
                "the backend names an address in 227 that is not its own towards ftplb, which uses the port \
                 alone: clients that connect to it directly are sent there, so correct or remove the address \
                 if that is not meant (vsftpd pasv_address, ProFTPD MasqueradeAddress, Pure-FTPd \
                 ForcePassiveIP, pyftpdlib masquerade_address, SFTPGo force_passive_ip)"
            }
            Self::NoDataPort => {
                "the backend named no usable data port, so passive transfers fail: give it a passive range of \
                 ports from 1024 on (vsftpd pasv_min_port and pasv_max_port, ProFTPD PassivePorts, Pure-FTPd \
                 PassivePortRange, pyftpdlib passive_ports)"
            }
            Self::NotFtp => {
                "the backend sent something that is no FTP reply: look at what listens on that port, and \
                 whether it wants TLS from the first byte"
            }
            Self::ReplyTooLong => {
                "the backend sent a reply line or a reply over the limit: raise limits.reply_line_bytes, \
                 reply_lines or reply_bytes if it has a good reason to"
            }
            Self::SessionLimit => {
                "the backend turned a session away, as servers do at a limit of their own: raise it, not least \
                 the one for one address, which is ftplb's for all sessions (vsftpd max_clients and \
                 max_per_ip, ProFTPD MaxClients and MaxConnectionsPerHost, Pure-FTPd MaxClientsNumber and \
                 MaxClientsPerIP, pyftpdlib max_cons and max_cons_per_ip), or give it fewer by max_sessions; \
                 if it is not full, look whether it shuts ftplb's address out"
            }
            Self::SlowGreeting => {
                "the backend did not greet within timeouts.greeting: let it look up no names first (vsftpd \
                 reverse_lookup_enable=NO, ProFTPD UseReverseDNS off and IdentLookups off, Pure-FTPd \
                 DontResolve), or give it less to do"
            }
            Self::TlsReuseRequired => {
                "the backend wants the TLS session of the control connection again on data connections: let \
                 it accept others (vsftpd require_ssl_reuse=NO, ProFTPD TLSOptions NoSessionReuseRequired)"
            }
            Self::UnaskedDataPort => {
                "the backend opened a data port that nobody asked for: somebody can make it say so, by the \
                 name of a file for example, so look into what that session did and update the server"
            }
        }
    }

    /// What a line of a reply with `code` shows, in answer to `step`.
    pub fn of_reply(step: Step, code: Code, line: &[u8]) -> Option<Self> {
        if step == Step::Greeting && (code.is(120) || code.is(421)) {
            // RFC 959 §5.4: not now. Servers say so when they are full.
            return Some(Self::SessionLimit);
        }
        let says = |words: &str| {
            let mut parts = line.windows(words.len());
            parts.any(|part| part.eq_ignore_ascii_case(words.as_bytes()))
        };
        let known: &[(Self, &[Words])] = match step {
            Step::Greeting | Step::Login => &[(Self::SessionLimit, &SESSION_LIMIT)],
            Step::Data => &[
                (Self::DataAddressRefused, &DATA_ADDRESS_REFUSED),
                (Self::TlsReuseRequired, &TLS_REUSE_REQUIRED),
            ],
        };
        let is_said = |Words(of, words): &Words| code.is(*of) && says(words);
        let found = known.iter().find(|(_, all)| all.iter().any(is_said));
        found.map(|(shown, _)| *shown)
    }
}

/// A set of diagnoses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Diagnoses(u16);

impl Diagnoses {
    /// Puts one in. `false`: it was there.
    pub fn insert(&mut self, diagnosis: Diagnosis) -> bool {
        let bit = 1 << diagnosis as u16;
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new
    }
}

/// A code, and a part of the text behind it, in lower case.
struct Words(u16, &'static str);

/// What servers say when they are full and do not say it by 421 in their greeting.
const SESSION_LIMIT: [Words; 4] = [
    // Apache FtpServer: as greeting, and after USER or PASS.
    Words(530, "maximum server connection"),
    Words(421, "login limit has been reached"),
    // ProFTPD: MaxConnectionsPerHost as greeting, MaxClients and its like after PASS.
    Words(530, "the maximum number of"),
    // SFTPGo.
    Words(530, "too many open sessions"),
];

/// What servers say of data connections, and of PORT and EPRT, from or to an address that they do not want.
const DATA_ADDRESS_REFUSED: [Words; 14] = [
    // Apache FtpServer, to PORT and EPRT.
    Words(501, "ip is not same as"),
    // FileZilla Server 0.9, to PORT.
    Words(421, "does not match control connection ip"),
    // IIS, in an inner line.
    Words(501, "client ip on the control channel"),
    Words(425, "client ip on the control channel"),
    // ProFTPD later than 1.3.8, which takes foreign passive connections. To PORT and EPRT it has the words of
    // vsftpd.
    Words(425, "data connection: permission denied"),
    // Pure-FTPd, to PORT and EPRT. It drops foreign passive connections without a word.
    Words(500, "i won't open a connection to"),
    // pyftpdlib: unasked when the connection comes, and to PORT and EPRT.
    Words(425, "rejected data connection from foreign"),
    Words(501, "rejected data connection to foreign"),
    // SFTPGo: to a transfer, and to PORT and EPRT.
    Words(425, "security requirements not met"),
    Words(501, "configured security requirements"),
    // vsftpd. ftplb's own PORT and EPRT are right and name no port below 1024: it is the address.
    Words(425, "security: bad ip connecting"),
    Words(500, "illegal port command"),
    Words(500, "illegal eprt command"),
    // wu-ftpd and its descendants.
    Words(425, "possible pasv port theft"),
];

/// What servers say of data connections whose TLS session is a new one. Not of ProFTPD, whose "Operation not
/// permitted" is said of every handshake that fails, and of a firewall.
const TLS_REUSE_REQUIRED: [Words; 2] = [
    // FileZilla Server 1.x.
    Words(425, "tls session of data connection not resumed"),
    // vsftpd.
    Words(522, "session reuse required"),
];

#[cfg(test)]
mod tests;
