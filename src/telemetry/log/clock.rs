//! When a line was logged.

use std::fmt;
use std::time::SystemTime;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// The time in UTC to the microsecond, as `tracing_subscriber` writes it, with fewer instructions.
#[derive(Debug)]
pub(super) struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        // No time before 1970 can be written.
        let now = SystemTime::now().max(SystemTime::UNIX_EPOCH);
        write!(w, "{}", humantime::format_rfc3339_micros(now))
    }
}
