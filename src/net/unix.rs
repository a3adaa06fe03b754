//! Unix sockets that others of this user connect to: bound before anything else happens, and gone when it is over.
//!
//! The file of a Unix socket stays when a process is killed. One that nobody answers at is replaced; one
//! that somebody answers at is another process's.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::inherit::{Keep, Shared};

/// Why nobody can connect there.
#[derive(Debug, thiserror::Error)]
pub enum UnixSocketError {
    /// Another process serves there.
    #[error("a process answers at {path} already: is another ftplb running?")]
    Live {
        /// The socket.
        path: PathBuf,
    },
    /// There is something that is not ours to replace.
    #[error("{path} exists and is no socket: remove it, or choose another path")]
    NoSocket {
        /// What is there.
        path: PathBuf,
    },
    /// The directory of the socket is not there.
    #[error(
        "there is no directory {directory}: create it, or let systemd do that by RuntimeDirectory="
    )]
    NoDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory is another user's.
    #[error(
        "ftplb's user may not make a socket in {directory}: give the directory to it, or let systemd do that by RuntimeDirectory= and User="
    )]
    NotOurs {
        /// The directory.
        directory: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen at {path}")]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A listening socket, and its file, which is removed when this is dropped, in whichever way.
#[derive(Debug)]
#[must_use = "nobody is heard while it is not served"]
pub struct UnixSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a Unix socket of ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode, by which it is told from a file that took its place.
    identity: (u64, u64),
    keep: Keep,
}

impl UnixSocket {
    /// Binds `path`, for the user of this process only. Within a runtime.
    pub fn bind(path: &Path) -> Result<Self, UnixSocketError> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        if !directory.is_dir() {
            let directory = directory.to_owned();
            return Err(UnixSocketError::NoDirectory { directory });
        }
        let failed = |source| UnixSocketError::System {
            path: path.to_owned(),
            source,
        };
        if let Ok(known) = fs::symlink_metadata(path) {
            let path = path.to_owned();
            if !known.file_type().is_socket() {
                return Err(UnixSocketError::NoSocket { path });
            }
            if !is_abandoned(&path).map_err(failed)? {
                return Err(UnixSocketError::Live { path });
            }
            fs::remove_file(path).map_err(failed)?;
        }
        listen(path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => UnixSocketError::NotOurs {
                directory: directory.to_owned(),
            },
            _ => failed(source),
        })
    }

    /// Goes on at `path` with the `socket` of an older process, whose file it is until [`Shared::take_over`].
    /// Within a runtime.
    pub fn inherit(path: &Path, socket: Socket) -> Result<Self, UnixSocketError> {
        Self::of(path, socket, Keep::kept()).map_err(|source| UnixSocketError::System {
            path: path.to_owned(),
            source,
        })
    }

    /// For another process.
    pub fn share(&self) -> io::Result<Shared> {
        Shared::of(&self.listener, Some(self.file.keep.clone()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// What is accepted from, and what is to be kept as long.
    pub fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }

    fn of(path: &Path, socket: Socket, keep: Keep) -> io::Result<Self> {
        let known = fs::symlink_metadata(path)?;
        Ok(Self {
            listener: UnixListener::from_std(socket.into())?,
            file: SocketFile {
                path: path.to_owned(),
                identity: (known.dev(), known.ino()),
                keep,
            },
        })
    }
}

/// Whether nobody listens at the socket any more.
fn is_abandoned(path: &Path) -> io::Result<bool> {
    match UnixStream::connect(path) {
        Ok(_) => Ok(false),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(true),
            // Its queue of connections is full: somebody is there.
            io::ErrorKind::WouldBlock => Ok(false),
            _ => Err(error),
        },
    }
}

fn listen(path: &Path) -> io::Result<UnixSocket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before it listens: the mode is never wider than this.
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    socket.listen(BACKLOG)?;
    UnixSocket::of(path, socket, Keep::default())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.keep.is_kept() {
            return;
        }
        let known = fs::symlink_metadata(&self.path);
        if known.is_ok_and(|known| (known.dev(), known.ino()) == self.identity) {
            // It is replaced by whoever binds it next, if it can not be removed.
            let _removed_or_stays = fs::remove_file(&self.path);
        }
    }
}

/// Connections that wait to be accepted: some people and their scripts.
const BACKLOG: i32 = 64;

/// To connect one needs the right to write.
const OWNER_ONLY: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_its_owner_s_and_goes_with_the_one_who_made_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);
        assert_eq!(socket.path(), path);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_a_dead_process_left_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves it");
        let socket = UnixSocket::bind(&path).unwrap();
        let _connected = UnixStream::connect(&path).unwrap();
        drop(socket);
    }

    #[tokio::test]
    async fn a_socket_that_somebody_serves_stays_theirs() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        let theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = UnixSocket::bind(&path).unwrap_err();
        assert!(matches!(error, UnixSocketError::Live { .. }), "{error}");
        assert!(path.exists());
        drop(theirs);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_touched() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("precious");
        fs::write(&file, "1").unwrap();
        let error = UnixSocket::bind(&file).unwrap_err();
        assert!(matches!(error, UnixSocketError::NoSocket { .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"1");
        let error = UnixSocket::bind(&home.path().join("nowhere/api.sock")).unwrap_err();
        assert!(
            matches!(error, UnixSocketError::NoDirectory { .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_socket_that_another_process_goes_on_with_keeps_its_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        let older = UnixSocket::bind(&path).unwrap();
        let shared = older.share().unwrap();
        let inherit = |given: &Shared| {
            let given = given.descriptor().try_clone_to_owned().unwrap();
            UnixSocket::inherit(&path, given.into()).unwrap()
        };
        drop(inherit(&shared));
        assert!(path.exists(), "who fails before it is its own lets it be");
        let newer = inherit(&shared);
        newer.share().unwrap().take_over();
        shared.hand_over();
        drop((older, shared));
        let _connected = UnixStream::connect(&path).unwrap();
        drop(newer);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_took_the_place_of_ours_is_left_there() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        let first = UnixSocket::bind(&path).unwrap();
        // Kept, so that its inode is not given to the next.
        fs::rename(&path, home.path().join("aside")).unwrap();
        let second = UnixSocket::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
