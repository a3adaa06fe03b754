//! Where the API is served: bound before anything else happens, and gone when it is over.
//!
//! The file of a Unix socket stays when a process is killed. One that nobody answers at is replaced; one
//! that somebody answers at is another process's.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::config::ApiAddress;
use crate::net::socket;

/// Why the API can not be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Another process serves there.
    #[error("a process answers at {path} already: is another ftplb running?")]
    Live {
        /// The socket.
        path: PathBuf,
    },
    /// There is something that is not ours to replace.
    #[error("{path} exists and is no socket: remove it, or choose another path for admin.api")]
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
    #[error("cannot serve the API at {address}")]
    System {
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound socket. A Unix one is removed when this is dropped, in whichever way.
#[derive(Debug)]
#[must_use = "nobody can ask while it is not served"]
pub struct ApiSocket {
    pub(super) bound: Bound,
}

#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket of ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode, by which it is told from a file that took its place.
    identity: (u64, u64),
}

impl ApiSocket {
    /// Binds `address`. A Unix socket can be reached by the user of this process only. Within a runtime.
    /// TCP sockets are bound by `bind_tcp`.
    pub fn bind(
        address: &ApiAddress,
        bind_tcp: impl FnOnce(SocketAddr) -> io::Result<Socket>,
    ) -> Result<Self, ApiError> {
        let bound = match address {
            ApiAddress::Unix(path) => bind_unix(path)?,
            ApiAddress::Loopback(address) => listen_tcp(*address, bind_tcp(*address))?,
        };
        Ok(Self { bound })
    }
}

impl fmt::Display for ApiSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bound {
            Bound::Tcp(_, address) => address.fmt(f),
            Bound::Unix(_, file) => file.path.display().fmt(f),
        }
    }
}

fn listen_tcp(address: SocketAddr, bound: io::Result<Socket>) -> Result<Bound, ApiError> {
    let bound = bound
        .and_then(|socket| socket::listen(socket, BACKLOG))
        // The port that was chosen, where any was asked for.
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    match bound {
        Ok((address, listener)) => Ok(Bound::Tcp(listener, address)),
        Err(source) => Err(ApiError::System {
            address: address.to_string(),
            source,
        }),
    }
}

fn bind_unix(path: &Path) -> Result<Bound, ApiError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !directory.is_dir() {
        let directory = directory.to_owned();
        return Err(ApiError::NoDirectory { directory });
    }
    let failed = |source| ApiError::System {
        address: path.display().to_string(),
        source,
    };
    if let Ok(known) = fs::symlink_metadata(path) {
        let path = path.to_owned();
        if !known.file_type().is_socket() {
            return Err(ApiError::NoSocket { path });
        }
        if !is_abandoned(&path).map_err(failed)? {
            return Err(ApiError::Live { path });
        }
        fs::remove_file(path).map_err(failed)?;
    }
    listen(path).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => ApiError::NotOurs {
            directory: directory.to_owned(),
        },
        _ => failed(source),
    })
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

fn listen(path: &Path) -> io::Result<Bound> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let known = fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: (known.dev(), known.ino()),
    };
    // Nobody can connect before it listens: the mode is never wider than this.
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    socket.listen(BACKLOG)?;
    let listener = UnixListener::from_std(socket.into())?;
    Ok(Bound::Unix(listener, file))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
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

    fn bind(path: &Path) -> Result<ApiSocket, ApiError> {
        ApiSocket::bind(&ApiAddress::Unix(path.to_owned()), socket::bound)
    }

    #[tokio::test]
    async fn a_socket_is_its_owner_s_and_goes_with_the_one_who_made_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        let socket = bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);
        assert_eq!(socket.to_string(), path.display().to_string());
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_a_dead_process_left_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves it");
        let socket = bind(&path).unwrap();
        let _connected = UnixStream::connect(&path).unwrap();
        drop(socket);
    }

    #[tokio::test]
    async fn a_socket_that_somebody_serves_stays_theirs() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        let theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, ApiError::Live { .. }), "{error}");
        assert!(path.exists());
        drop(theirs);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_touched() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("precious");
        fs::write(&file, "1").unwrap();
        let error = bind(&file).unwrap_err();
        assert!(matches!(error, ApiError::NoSocket { .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"1");
        let error = bind(&home.path().join("nowhere/api.sock")).unwrap_err();
        assert!(matches!(error, ApiError::NoDirectory { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_socket_that_took_the_place_of_ours_is_left_there() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        let first = bind(&path).unwrap();
        // Kept, so that its inode is not given to the next.
        fs::rename(&path, home.path().join("aside")).unwrap();
        let second = bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
