//! The replies that ftplb gives itself. 7-bit ASCII, one line each (F8).

use bytes::Bytes;

macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub(super) const $name: Bytes = Bytes::from_static($text.as_bytes());)*
    };
}

replies! {
    PORT_OK = "200 PORT command successful.";
    EPRT_OK = "200 EPRT command successful.";
    EPSV_ALL_OK = "200 EPSV ALL accepted.";
    NOOP_OK = "200 NOOP ok.";
    /// In place of a backend's greeting, and so of no particular server.
    GREETING = "220 FTP server ready.";
    GOODBYE = "221 Goodbye.";
    RETIRED = "421 This server goes out of service, please connect again.";
    SHUTTING_DOWN = "421 Service is shutting down, closing control connection.";
    TIMEOUT = "421 Timeout, closing control connection.";
    LOGIN_TIMEOUT = "421 Login took too long, closing control connection.";
    NOT_AVAILABLE = "421 Service not available, closing control connection.";
    BACKENDS_FULL = "421 Too many users are connected, try again later.";
    NO_BACKEND = "421 No server is available, try again later.";
    TOO_MANY_ERRORS = "421 Too many errors, closing control connection.";
    LINE_RUNAWAY = "421 Command line without end, closing control connection.";
    NO_DATA_CONNECTION = "425 Can't open data connection.";
    NO_DATA_PORT = "425 All data ports are in use, try again later.";
    NO_PASV_ON_IPV6 = "425 You cannot use PASV on IPv6 connections. Use EPSV instead.";
    NO_COMMAND = "500 Empty command.";
    BAD_VERB = "500 Syntax error, command unrecognized.";
    LINE_TOO_LONG = "500 Command line too long.";
    BAD_BYTE = "501 Control characters are not allowed in a command.";
    BAD_ARGUMENT = "501 Syntax error in parameters.";
    FOREIGN_ADDRESS = "501 The address is not yours: foreign address refused.";
    DENIED = "502 Command not allowed here.";
    NOT_IMPLEMENTED = "502 Command not implemented.";
    NO_TLS = "502 TLS is not offered here.";
    EPSV_ALL_SAID = "503 Only EPSV is allowed after EPSV ALL.";
    PRIVILEGED_PORT = "504 Privileged port refused: the port must be 1024 or above.";
    LOG_IN_FIRST = "530 Please log in with USER and PASS.";
    USE_FAMILY_1 = "522 Network protocol not supported, use (1)";
    USE_FAMILY_2 = "522 Network protocol not supported, use (2)";
}
