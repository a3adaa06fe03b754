//! A line that is read as a command is its name, a space and its argument, and nothing else (F4, F5).

use crate::ftp::command;
use crate::ftp::text::Escaped;

/// Tries `line` as a command.
pub fn check(line: &[u8]) {
    command::is_foreign_protocol(line);
    let shown = Escaped(line).to_string();
    assert!(shown.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    let Ok(command) = command::parse(line) else {
        return;
    };
    let mut again = command.name.to_vec();
    if let Some(argument) = command.argument {
        again.push(b' ');
        again.extend_from_slice(argument);
    }
    assert_eq!(again, line);
    assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    let shown = command.to_string();
    assert!(shown.bytes().all(|byte| matches!(byte, b' '..=b'~')));
}
