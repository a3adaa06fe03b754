//! Listening sockets that outlive a process: those that it was given, by systemd or by an older ftplb, and
//! those that it can give on.
//!
//! Two processes then hold the same socket with the same queue: a client that has connected is accepted by
//! whichever asks first, and nobody is lost when one of them lets go.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use listenfd::ListenFd;
use socket2::{Socket, Type};

/// Where a socket listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// At an address.
    Tcp(SocketAddr),
    /// At a path.
    Unix(PathBuf),
}

/// Sockets that this process was given and has not begun to use.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Given>);

/// One of them.
#[derive(Debug)]
pub struct Given {
    place: Place,
    /// Non-blocking, and listens already.
    pub socket: Socket,
    /// systemd has it as well, and will have it when this process has ended; else an older ftplb gave it.
    pub is_systemds: bool,
}

/// A socket that this process listens on, for another process.
#[derive(Debug)]
pub struct Shared {
    place: Place,
    socket: OwnedFd,
    file: Option<Keep>,
}

/// Whether the file of a Unix socket is to stay when its process goes: another one listens there.
#[derive(Clone, Debug, Default)]
pub struct Keep(Arc<AtomicBool>);

/// Why a socket that this process was given is none that it can use.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// It takes IPv4 clients as well.
    #[error(
        "systemd passes a socket at {address} that takes IPv4 too: write BindIPv6Only=ipv6-only in the \
         socket unit, and a ListenStream= of its own for IPv4"
    )]
    DualStack {
        /// Where it listens.
        address: SocketAddr,
    },
    /// No place of the configuration.
    #[error(
        "systemd passes a socket at {place}, where the configuration has nothing: give a listener this \
         address, or take ListenStream={place} out of the socket unit"
    )]
    Unwanted {
        /// Where it listens.
        place: Place,
    },
    /// No listening stream socket.
    #[error(
        "systemd passes descriptor {descriptor}, which is no TCP socket that listens: the socket unit may \
         have ListenStream= with an IP address and Accept=no only"
    )]
    Useless {
        /// Its number.
        descriptor: usize,
        /// What the system said.
        source: io::Error,
    },
}

impl Inherited {
    /// What systemd passes, or who else keeps to its protocol (sd_listen_fds(3)). To be called once, and by
    /// the only thread of the process: what said so is taken out of the environment.
    pub fn from_systemd() -> Result<Self, InheritError> {
        let mut passed = ListenFd::from_env();
        let mut all = Vec::new();
        for index in 0..passed.len() {
            let useless = |source| InheritError::Useless {
                descriptor: FIRST_DESCRIPTOR + index,
                source,
            };
            let listener = passed.take_tcp_listener(index).map_err(useless)?;
            // Each is taken once.
            let Some(listener) = listener else { continue };
            let (place, socket) = adopt(listener.into()).map_err(useless)?;
            if let Place::Tcp(address) = place
                && is_dual(&socket, address).map_err(useless)?
            {
                return Err(InheritError::DualStack { address });
            }
            all.push(Given {
                place,
                socket,
                is_systemds: true,
            });
        }
        Ok(Self(all))
    }

    /// Adds what an older ftplb gave.
    pub fn add(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        let (place, socket) = adopt(descriptor)?;
        self.0.push(Given {
            place,
            socket,
            is_systemds: false,
        });
        Ok(())
    }

    /// The socket at `place`, if there is one.
    pub fn take(&mut self, place: &Place) -> Option<Given> {
        let index = self.0.iter().position(|given| given.place == *place)?;
        let taken = self.0.remove(index);
        // systemd and the older process may have passed the same one.
        self.0.retain(|given| given.place != *place);
        Some(taken)
    }

    /// Lets go of what was not taken. What an older ftplb does not need any more is nobody's mistake.
    pub fn finish(&mut self) -> Result<(), InheritError> {
        let left = std::mem::take(&mut self.0);
        match left.into_iter().find(|given| given.is_systemds) {
            Some(Given { place, .. }) => Err(InheritError::Unwanted { place }),
            None => Ok(()),
        }
    }
}

impl Shared {
    /// What `listener` listens on. `file` is that of a Unix socket.
    pub fn of(listener: &impl AsFd, file: Option<Keep>) -> io::Result<Self> {
        let socket = listener.as_fd().try_clone_to_owned()?;
        let (place, socket) = adopt(socket)?;
        let socket = socket.into();
        Ok(Self {
            place,
            socket,
            file,
        })
    }

    /// Where it listens.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// For another process.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Another process listens there from now on.
    pub fn hand_over(&self) {
        if let Some(keep) = &self.file {
            keep.0.store(true, Ordering::Release);
        }
    }

    /// No other process listens there any more.
    pub fn take_over(&self) {
        if let Some(keep) = &self.file {
            keep.0.store(false, Ordering::Release);
        }
    }
}

impl Keep {
    /// It is another's as yet.
    pub fn kept() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether the file stays.
    pub fn is_kept(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Place {
    /// The path `path`.
    pub fn unix(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

fn adopt(descriptor: OwnedFd) -> io::Result<(Place, Socket)> {
    let socket = Socket::from(descriptor);
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(io::Error::other("the socket does not listen for streams"));
    }
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let path = || address.as_pathname().map(Place::unix);
    let place = address.as_socket().map(Place::Tcp).or_else(path);
    let place =
        place.ok_or_else(|| io::Error::other("the socket has no address of a known kind"))?;
    Ok((place, socket))
}

/// IPv4 has listeners of its own, so that no address is seen in two forms (V2).
fn is_dual(socket: &Socket, address: SocketAddr) -> io::Result<bool> {
    Ok(address.is_ipv6() && address.ip().is_unspecified() && !socket.only_v6()?)
}

/// The number of the first that systemd passes.
const FIRST_DESCRIPTOR: usize = 3;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn listener() -> (TcpListener, Place) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::Tcp(listener.local_addr().unwrap());
        (listener, place)
    }

    #[test]
    fn a_socket_is_found_by_where_it_listens_and_taken_once() {
        let (first, place) = listener();
        let (second, other) = listener();
        let mut inherited = Inherited::default();
        for socket in [first, second] {
            inherited.add(socket.into()).unwrap();
        }
        assert!(inherited.take(&place).is_some());
        assert!(inherited.take(&place).is_none());
        assert!(inherited.take(&Place::unix(Path::new("/x"))).is_none());
        inherited.finish().unwrap();
        assert!(inherited.take(&other).is_none(), "it was let go of");
    }

    #[test]
    fn what_systemd_passes_and_nobody_wants_is_a_mistake() {
        let (socket, place) = listener();
        let given = Given {
            place: place.clone(),
            socket: socket.into(),
            is_systemds: true,
        };
        let error = Inherited(vec![given]).finish().unwrap_err().to_string();
        assert!(error.contains(&place.to_string()), "{error}");
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let (listener, _) = listener();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Inherited::default().add(stream.into()).unwrap_err();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        Inherited::default().add(datagrams.into()).unwrap_err();
    }

    #[test]
    fn a_socket_for_both_families_is_told_from_one_for_ipv6() {
        for only_v6 in [true, false] {
            let socket = Socket::new(socket2::Domain::IPV6, Type::STREAM, None).unwrap();
            socket.set_only_v6(only_v6).unwrap();
            let any: SocketAddr = "[::]:0".parse().unwrap();
            let one: SocketAddr = "[::1]:0".parse().unwrap();
            assert_eq!(is_dual(&socket, any).unwrap(), !only_v6);
            assert!(!is_dual(&socket, one).unwrap());
        }
    }
}
