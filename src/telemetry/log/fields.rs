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
        writer: Writer<'writer>,
        fields: R,
    ) -> Result<(), fmt::Error> {
        let mut line = Line {
            writer,
            result: Ok(()),
            is_empty: true,
        };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    result: fmt::Result,
    is_empty: bool,
}

impl Line<'_> {
    fn write(&mut self, field: &Field, write: impl FnOnce(&mut Clean<'_, '_>) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = self.begin(field);
        }
        if self.result.is_ok() {
            self.result = write(&mut Clean(&mut self.writer));
        }
    }

    fn begin(&mut self, field: &Field) -> fmt::Result {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.write_char(' ')?;
        }
        if field.name() != MESSAGE {
            self.writer.write_str(field.name())?;
            self.writer.write_char('=')?;
        }
        Ok(())
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, |clean| write!(clean, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let is_message = field.name() == MESSAGE;
        self.write(field, |clean| match is_message {
            true => clean.write_str(value),
            false if is_plain(value) => {
                clean.0.write_char('"')?;
                clean.0.write_str(value)?;
                clean.0.write_char('"')
            }
            false => write!(clean, "{value:?}"),
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |clean| {
            clean.0.write_str(itoa::Buffer::new().format(value))
        });
    }
}

/// Lets no control character through, whatever has forgotten to escape it: a line stays one line (O6).
struct Clean<'a, 'writer>(&'a mut Writer<'writer>);

impl fmt::Write for Clean<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
        if text.bytes().all(is_plain) || !text.chars().any(char::is_control) {
            return self.0.write_str(text);
        }
        for part in text.split_inclusive(char::is_control) {
            let plain = part.trim_end_matches(char::is_control);
            self.0.write_str(plain)?;
            let controls = part.strip_prefix(plain).unwrap_or_default();
            write!(self.0, "{}", controls.escape_debug())?;
        }
        Ok(())
    }
}

/// Whether `text` is between quotes what it is without them.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    text.bytes().all(is_plain)
}

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
