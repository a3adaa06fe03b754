//! What two processes say to each other.

use std::io;

use serde::{Deserialize, Serialize};

use crate::net::ports::Key;

/// Who speaks.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Who {
    /// The version of ftplb.
    pub(crate) version: String,
    /// The process.
    pub(crate) pid: u32,
}

/// One line.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// The newer process wants the sockets.
    Ask { protocol: u32, who: Who },
    /// The older process does not give them, or not now.
    Refusal { reason: String },
    /// They come with this line; those that are missing with the next.
    Offer {
        who: Who,
        sockets: usize,
        more: bool,
    },
    /// The newer process listens, also at the places that it has `taken`.
    Serving { taken: Vec<String> },
    /// The older process accepts nobody any more, and this is left.
    Leaving(Rest),
}

/// What the newer process hears of the older one while that leaves.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Rest {
    /// How many it still has.
    pub(crate) sessions: usize,
    /// The passive ports that clients have given up since the last message: a late connection may still come,
    /// and is not for a session of the newer process (P11).
    #[serde(default)]
    pub(crate) given_up: Vec<Key>,
}

impl Who {
    /// This process.
    pub(super) fn here() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        }
    }
}

impl Message {
    /// As it goes over the wire.
    pub(super) fn line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        if u64::try_from(line.len()).is_ok_and(|bytes| bytes > LONGEST_LINE) {
            let error = format!("a message of {} bytes is too long", line.len());
            return Err(io::Error::other(error));
        }
        Ok(line)
    }

    /// Reads a line, with or without its end.
    pub(super) fn parse(line: &[u8]) -> io::Result<Self> {
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(line)?)
    }
}

/// What this version speaks.
pub(super) const PROTOCOL: u32 = 1;

/// Bytes: the places of a thousand listeners.
pub(super) const LONGEST_LINE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_is_what_the_first_version_spoke() {
        let who = Who {
            version: "0.1.0".to_owned(),
            pid: 7,
        };
        let table = [
            (
                Message::Ask {
                    protocol: 1,
                    who: who.clone(),
                },
                r#"{"ask":{"protocol":1,"who":{"version":"0.1.0","pid":7}}}"#,
            ),
            (
                Message::Offer {
                    who,
                    sockets: 2,
                    more: false,
                },
                r#"{"offer":{"who":{"version":"0.1.0","pid":7},"sockets":2,"more":false}}"#,
            ),
            (
                Message::Serving {
                    taken: vec!["0.0.0.0:21".to_owned()],
                },
                r#"{"serving":{"taken":["0.0.0.0:21"]}}"#,
            ),
            (
                Message::Leaving(Rest {
                    sessions: 3,
                    given_up: vec![(([192, 0, 2, 1], 10_000).into(), [192, 0, 2, 7].into())],
                }),
                r#"{"leaving":{"sessions":3,"given_up":[["192.0.2.1:10000","192.0.2.7"]]}}"#,
            ),
        ];
        for (message, text) in table {
            let line = message.line().unwrap();
            assert_eq!(line, format!("{text}\n").as_bytes());
            assert_eq!(Message::parse(&line).unwrap(), message);
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let line = br#"{"leaving":{"sessions":3,"transfers":1}}"#;
        assert_eq!(
            Message::parse(line).unwrap(),
            Message::Leaving(Rest {
                sessions: 3,
                given_up: Vec::new()
            })
        );
        for broken in [&b""[..], b"\n", b"{}", b"{\"other\":{}}", b"\xff\n"] {
            Message::parse(broken).unwrap_err();
        }
    }

    #[test]
    fn a_message_has_a_bound() {
        let taken = vec!["x".repeat(100); 656];
        Message::Serving { taken }.line().unwrap_err();
    }
}
