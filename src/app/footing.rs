//! What is done while the process has one thread: it takes the sockets that others pass to it, binds what
//! only its first user may bind, and then gives up what it has no more use for. The runtime and the log come
//! after.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use super::handover::{HandoverError, Takeover};
use crate::config::{ApiAddress, Config};
use crate::net::inherit::{InheritError, Inherited, Place};
use crate::net::socket;
use crate::privilege::{self, Confinement, PrivilegeError};

/// The ground that a balancer is built on. The default is a process that gives up nothing.
#[derive(Debug, Default)]
pub struct Footing {
    pub(super) claims: Claims,
    pub(super) confinement: Confinement,
    pub(super) takeover: Option<Takeover>,
}

/// Why there is no ground to build on.
#[derive(Debug, thiserror::Error)]
pub enum FootingError {
    /// A running ftplb does not give its sockets.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// systemd passes what is of no use.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// Privileges can not be given up.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
}

/// Sockets that were had ahead of the others, or the reason why they could not be.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) inherited: Inherited,
    bound: Vec<(SocketAddr, io::Result<Claim>)>,
}

/// A socket that is bound and does not listen yet.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) socket: Socket,
    /// Whether the address is this host's.
    pub(super) is_here: bool,
    /// systemd has the socket as well.
    pub(super) is_systemds: bool,
}

impl Footing {
    /// Takes what is passed, binds the privileged ports of `config`, and gives up what it says. To be called
    /// by the only thread of the process. What could not be bound is told when it is wanted:
    /// [`super::App::build`].
    pub fn prepare(config: &Config) -> Result<Self, FootingError> {
        privilege::take_up()?;
        let process = &config.process;
        let mut inherited = Inherited::from_systemd()?;
        let mut takeover = match &process.handover {
            Some(path) => Takeover::ask(path)?,
            None => None,
        };
        if let Some(takeover) = &mut takeover {
            takeover.give_to(&mut inherited)?;
        }
        let mut claims = Claims {
            inherited,
            bound: Vec::new(),
        };
        if process.user.is_some() || process.sandbox {
            claims.bind_privileged(config);
        }
        Ok(Self {
            claims,
            confinement: Confinement::enter(config)?,
            takeover,
        })
    }

    /// What was given up.
    pub fn confinement(&self) -> &Confinement {
        &self.confinement
    }
}

impl Claims {
    /// The privileged ports of `config`, but for those that were passed.
    fn bind_privileged(&mut self, config: &Config) {
        let listeners = config.listeners.iter().map(|listener| listener.address);
        let api = match config.admin.api {
            Some(ApiAddress::Loopback(address)) => Some(address),
            Some(ApiAddress::Unix(_)) | None => None,
        };
        let all = listeners.chain(config.admin.address).chain(api);
        let privileged = all.filter(|address| (1..FIRST_UNPRIVILEGED).contains(&address.port()));
        for address in privileged {
            let claim = self.take(address);
            self.bound.push((address, claim));
        }
    }

    /// What has come of the attempt to bind `address`; if there was none, it is made now.
    pub(super) fn take(&mut self, address: SocketAddr) -> io::Result<Claim> {
        if let Some(given) = self.inherited.take(&Place::Tcp(address)) {
            return Ok(Claim {
                socket: given.socket,
                is_here: true,
                is_systemds: given.is_systemds,
            });
        }
        match { self.bound.iter() }.position(|(claimed, _)| *claimed == address) {
            Some(index) => self.bound.swap_remove(index).1,
            None => claim(address),
        }
    }
}

/// Binds `address`, even if this host does not have it yet.
fn claim(address: SocketAddr) -> io::Result<Claim> {
    match socket::bound(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Ok(Claim {
            socket: socket::bound_ahead(address)?,
            is_here: false,
            is_systemds: false,
        }),
        bound => Ok(Claim {
            socket: bound?,
            is_here: true,
            is_systemds: false,
        }),
    }
}

/// Linux asks for `CAP_NET_BIND_SERVICE` below.
const FIRST_UNPRIVILEGED: u16 = 1024;
