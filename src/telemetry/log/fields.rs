//! The fields of a log line as text: ` name=value` behind the message, as `tracing_subscriber` writes them.
//!
//! Its own formatter measures three times as much, most of it for styles that a file does not have: this
//! one is for what is no terminal.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes fields without styles.
#[derive(Debug)]
pub(super) struct Plain;

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> Result<(), fmt::Error> {
        let mut line = Line {
            text: String::with_capacity(USUAL_BYTES),
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result?;
        writer.write_str(&line.text)
    }
}

/// Gathered before it is handed on: the library's writer has a call behind each piece.
struct Line {
    text: String,
    result: fmt::Result,
}

impl Line {
    fn begin(&mut self, field: &Field) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        if field.name() != MESSAGE {
            self.text.push_str(field.name());
            self.text.push('=');
        }
    }

    /// Lets no control character through from `start` on, whatever has forgotten to escape it: a line stays one
    /// line (O6).
    fn clean(&mut self, start: usize) {
        let written = self.text.get(start..).unwrap_or_default();
        if written.bytes().all(is_visible) || !written.chars().any(char::is_control) {
            return;
        }
        let mut clean = String::with_capacity(written.len() + 8);
        for char in written.chars() {
            if char.is_control() {
                clean.extend(char.escape_debug());
            } else {
                clean.push(char);
            }
        }
        self.text.truncate(start);
        self.text.push_str(&clean);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.begin(field);
        let start = self.text.len();
        let written = write!(self.text, "{value:?}");
        self.result = self.result.and(written);
        self.clean(start);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            self.record_debug(field, &format_args!("{value}"));
        } else if value.bytes().all(needs_no_escape) {
            self.begin(field);
            self.text.push('"');
            self.text.push_str(value);
            self.text.push('"');
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.begin(field);
        self.text.push_str(itoa::Buffer::new().format(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.begin(field);
        self.text.push_str(zmij::Buffer::new().format(value));
    }
}

fn is_visible(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Whether it is between quotes what it is without them.
fn needs_no_escape(byte: u8) -> bool {
    is_visible(byte) && byte != b'"' && byte != b'\\'
}

/// What a line of a session's end has.
const USUAL_BYTES: usize = 512;

const MESSAGE: &str = "message";

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `log` logs, its fields written by `fields`.
    fn logged<F>(fields: F, log: impl Fn()) -> String
    where
        F: for<'writer> FormatFields<'writer> + Send + Sync + 'static,
    {
        let page = Page::default();
        let to = page.clone();
        let subscriber = fmt()
            .without_time()
            .with_ansi(false)
            .fmt_fields(fields)
            .with_writer(move || to.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn lines_read_as_those_of_the_library() {
        let log = || {
            let (name, none) = ("a \"quoted\" name", None::<u64>);
            tracing::info!("only a message");
            tracing::warn!(
                session = 7u64,
                user = "anonymous",
                seconds = 0.125,
                "transfer ended"
            );
            for seconds in [0.0, 0.001, 0.1, 7.0, 59.999, 3600.05, 31_536_000.123] {
                tracing::info!(seconds);
            }
            tracing::error!(
                name,
                empty = "",
                non_ascii = "é\\",
                none,
                some = Some(226u16),
                "odd"
            );
            tracing::info!(is = true, below = -1i64, error = %io::Error::other("why"), debug = ?[1, 2]);
        };
        let ours = logged(Plain, log);
        assert_eq!(ours, logged(DefaultFields::new(), log));
        assert!(ours.contains("transfer ended session=7 user=\"anonymous\" seconds=0.125\n"));
    }

    #[test]
    fn o6_a_line_stays_a_line_whatever_is_in_it() {
        let ours = logged(Plain, || {
            let evil = "a\r\nFAKE\x1b[31m\u{85}b";
            tracing::info!(text = evil, shown = %evil, "{evil}");
        });
        let clean = r"a\r\nFAKE\u{1b}[31m\u{85}b";
        assert!(
            ours.ends_with(&format!("{clean} text=\"{clean}\" shown={clean}\n")),
            "{ours}"
        );
    }
}
