//! Text that is never shown, and the files that it may come from.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Text that is never shown.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Secret {
    text: String,
    file: Option<PathBuf>,
}

/// What a file with a secret holds.
#[derive(Clone, Eq, PartialEq)]
pub struct SecretFile {
    /// All of it, up to a byte more than a secret may have.
    pub bytes: Vec<u8>,
    /// Whether every user of the host may read or write it.
    pub is_public: bool,
}

/// Reads a file with a secret. May block.
pub type ReadSecret = fn(&Path) -> io::Result<SecretFile>;

impl Secret {
    /// What is shown in its place.
    pub const MASK: &str = "***";

    /// One that is written in the configuration itself.
    pub fn written(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            file: None,
        }
    }

    /// One that is in a file, which is not read yet.
    pub(super) fn in_file(path: PathBuf) -> Self {
        Self {
            text: String::new(),
            file: Some(path),
        }
    }

    /// The secret itself, for whoever it is meant for.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Where it comes from, if it is not written in the configuration.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Takes what its file holds: one line, whose end does not count. Whether it is a secret.
    pub(super) fn take(&mut self, bytes: Vec<u8>) -> bool {
        let Ok(mut text) = String::from_utf8(bytes) else {
            return false;
        };
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        // A line break in it would be a second command to the backend.
        let is_one = (1..=MOST_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if is_one {
            self.text = text;
        }
        is_one
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Secret::MASK)
    }
}

/// Reads a file of this host.
pub fn read(path: &Path) -> io::Result<SecretFile> {
    // Before it is opened: a pipe would be waited for.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let file = File::open(path)?;
    let is_public = file.metadata()?.mode() & OTHERS != 0;
    let mut bytes = Vec::new();
    let most = u64::try_from(MOST_BYTES + LINE_END.len() + 1).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(SecretFile { bytes, is_public })
}

/// Reads none: for a configuration that is judged without a host.
pub(super) fn read_none(_: &Path) -> io::Result<SecretFile> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Of a secret. Servers take commands of some 4 KiB, and nobody's password is that long.
pub(super) const MOST_BYTES: usize = 1024;

const LINE_END: &str = "\r\n";

/// The rights of other users to read and to write.
const OTHERS: u32 = 0o006;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn taken(bytes: &[u8]) -> Option<String> {
        let mut secret = Secret::in_file(PathBuf::from("/x"));
        { secret.take(bytes.to_vec()) }.then(|| secret.expose().to_owned())
    }

    #[test]
    fn a_secret_is_one_line_without_its_end() {
        for (bytes, text) in [
            (&b"hunter2"[..], "hunter2"),
            (b"hunter2\n", "hunter2"),
            (b"hunter2\r\n", "hunter2"),
            (b" with spaces \n", " with spaces "),
            ("p\u{e4}ss\n".as_bytes(), "p\u{e4}ss"),
        ] {
            assert_eq!(taken(bytes).as_deref(), Some(text));
        }
        let longest = vec![b'x'; MOST_BYTES];
        assert!(taken(&longest).is_some());
        assert_eq!(taken(&[&longest[..], b"x"].concat()), None);
        for bytes in [
            &b""[..],
            b"\n",
            b"\r\n",
            b"x\n\n",
            b"x\nDELE y\n",
            b"x\0",
            b"\xff\n",
        ] {
            assert_eq!(taken(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn neither_a_secret_nor_its_file_shows_what_it_is() {
        let secret = Secret::written("hunter2");
        let file = SecretFile {
            bytes: b"hunter2".to_vec(),
            is_public: false,
        };
        assert_eq!(format!("{secret:?} {file:?}"), "*** ***");
    }

    #[test]
    fn a_file_is_read_so_far_as_a_secret_goes_and_nothing_else_is() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("secret");
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        let with_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&path).unwrap()
        };
        assert!(!with_mode(0o640).is_public);
        assert!(with_mode(0o644).is_public);
        assert!(with_mode(0o602).is_public);
        let length = with_mode(0o600).bytes.len();
        assert!((MOST_BYTES..MOST_BYTES + 8).contains(&length), "{length}");
        let pipe = home.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&pipe).unwrap_err().to_string(), "it is no file");
        assert!(read(home.path()).is_err());
    }
}
