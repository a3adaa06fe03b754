//! A file that lines are put at the end of, until it is rotated.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::log::LogError;
use super::queue::Output;

/// A file that is only appended to: two processes may do so, and each write of either stays in one piece.
#[derive(Debug)]
pub(super) struct AppendedFile {
    /// The key of the configuration that names it.
    key: &'static str,
    path: PathBuf,
    file: File,
}

impl AppendedFile {
    /// Opens the file at `path`, which `key` names; makes it if there is none.
    pub(super) fn open(key: &'static str, path: &Path) -> Result<Self, LogError> {
        let path = path.to_owned();
        match open(&path) {
            Ok(file) => Ok(Self { key, path, file }),
            Err(source) => Err(LogError::File { key, path, source }),
        }
    }
}

impl Write for AppendedFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.file.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for AppendedFile {
    fn reopen(&mut self) {
        let (key, path) = (self.key, self.path.display());
        match open(&self.path) {
            Ok(file) => {
                self.file = file;
                tracing::info!(%path, "{key}: opened anew");
            }
            Err(error) => tracing::error!(
                %path, %error,
                "{key}: cannot be opened anew, and the lines still go to the file that was renamed: let the \
                 user of ftplb write in the directory"
            ),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(MODE)
        .open(path)
}

/// There are names of users and files in it, and addresses.
const MODE: u32 = 0o640;
