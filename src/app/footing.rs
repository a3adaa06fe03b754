//! What is done while the process has one thread: it binds what only its first user may bind, and then
//! gives up what it has no more use for. The runtime and the log come after.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use crate::config::{ApiAddress, Config};
use crate::net::socket;
use crate::privilege::{self, Confinement, PrivilegeError};

/// The ground that a balancer is built on. The default is a process that gives up nothing.
#[derive(Debug, Default)]
pub struct Footing {
    pub(super) claims: Claims,
    pub(super) confinement: Confinement,
}

/// Sockets that were bound ahead of the others, or the reason why they could not be.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<(SocketAddr, io::Result<Claim>)>);

/// A socket that is bound and does not listen yet.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) socket: Socket,
    /// Whether the address is this host's.
    pub(super) is_here: bool,
}

impl Footing {
    /// Binds the privileged ports of `config`, and gives up what it says. To be called by the only thread of
    /// the process. What could not be bound is told when it is wanted: [`super::App::build`].
    pub fn prepare(config: &Config) -> Result<Self, PrivilegeError> {
        privilege::take_up()?;
        let process = &config.process;
        let claims = if process.user.is_some() || process.sandbox {
            Claims::of(config)
        } else {
            Claims::default()
        };
        Ok(Self {
            claims,
            confinement: Confinement::enter(config)?,
        })
    }

    /// What was given up.
    pub fn confinement(&self) -> &Confinement {
        &self.confinement
    }
}

impl Claims {
    /// The privileged ports of `config`.
    fn of(config: &Config) -> Self {
        let listeners = config.listeners.iter().map(|listener| listener.address);
        let api = match config.admin.api {
            Some(ApiAddress::Loopback(address)) => Some(address),
            Some(ApiAddress::Unix(_)) | None => None,
        };
        let all = listeners.chain(config.admin.address).chain(api);
        let privileged = all.filter(|address| (1..FIRST_UNPRIVILEGED).contains(&address.port()));
        Self(
            privileged
                .map(|address| (address, claim(address)))
                .collect(),
        )
    }

    /// What has come of the attempt to bind `address`; if there was none, it is made now.
    pub(super) fn take(&mut self, address: SocketAddr) -> io::Result<Claim> {
        match self.0.iter().position(|(claimed, _)| *claimed == address) {
            Some(index) => self.0.swap_remove(index).1,
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
        }),
        bound => Ok(Claim {
            socket: bound?,
            is_here: true,
        }),
    }
}

/// Linux asks for `CAP_NET_BIND_SERVICE` below.
const FIRST_UNPRIVILEGED: u16 = 1024;
