//! Passive ports: which client was promised which port, and the connection that keeps the promise.
//!
//! A lease is (virtual IP, port, client) (design decision 4). While the peer check is strict, one
//! listening port serves many clients, because the address of a connection tells whose it is (P18).
//! Then whoever accepts, sorts: each lease that is polled polls the shared listener, and hands what it got to
//! the lease it belongs to. What is queued when another lease joins came before it and is not its (K6).
//!
//! ```text
//!   lease() ─▶ waiting ── own connection accepted ─▶ used up (the port is free for others at once)
//!                 └───── dropped ─▶ in quarantine for this client (P11)
//! ```
//!
//! # Invariants
//! - A port is within the range, in LISTEN before the lease exists (P6), and never leased twice to a client.
//! - A listener exists exactly while a lease waits on it; when its last one goes it is closed at once, and
//!   the kernel resets what was still queued (K6, P13).
//! - Ports are drawn by a CSPRNG, uniformly from those this client may have (P11).
//!
//! # Locks
//! The table says who waits where, and is locked for that only: no system call is made and no waker runs while it
//! is. Each port has a lock of its own, under which it is opened, polled, made known to the runtime and closed. Nobody
//! holds both:
//!
//! ```text
//!   enter the room (table) ─▶ open it, if it is not (port)         the newcomer finds it open, or opens it again
//!   leave the room (table) ─▶ close it, if the room is empty (port) ─▶ forget it, if the room is empty (table)
//! ```

mod port;
mod quarantine;
mod room;
mod table;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rand::RngExt;
use rand::seq::SliceRandom;
use tokio::time::Instant;

use self::port::{BACKLOG, Port};
pub use self::quarantine::Key;
use self::room::Slot;
use self::table::{Rules, Table};
use super::connection::Connection;
use super::leg::Leg;
use super::socket::{normalise, normalise_socket};
use crate::config::PeerCheck;

/// The passive ports of one listener.
pub struct PassivePorts {
    refused: AtomicU64,
    unused: AtomicU64,
    table: Mutex<Table>,
}

/// Why no port was leased. The client gets 425 (P5).
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// A port could not be listened on, for a reason that no other port would cure.
    #[error(
        "passive port {address} can not be opened: does the host have the address, and is the limit on open files high enough?"
    )]
    Bind {
        /// The virtual IP and the port.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The client's address has as many leases as it may have (P19).
    #[error(
        "client {client} already waits on {limit} passive ports, the limit for one address; raise `leases_per_client` if many clients share it"
    )]
    ClientLimit {
        /// The client.
        client: IpAddr,
        /// Leases allowed.
        limit: usize,
    },
    /// Every port of the range is taken for this client.
    #[error("all passive ports {} to {} of {vip} are taken for client {client}; widen `passive_ports`", range.start(), range.end())]
    RangeExhausted {
        /// The virtual IP.
        vip: IpAddr,
        /// The client.
        client: IpAddr,
        /// The ports.
        range: RangeInclusive<u16>,
    },
}

impl PassivePorts {
    /// The ports of `range`. One client address holds at most `leases_per_client` of them at a time.
    pub fn new(
        range: RangeInclusive<u16>,
        peer_check: PeerCheck,
        leases_per_client: usize,
    ) -> Self {
        let rules = Rules {
            range,
            peer_check,
            leases_per_client,
        };
        Self {
            refused: AtomicU64::new(0),
            unused: AtomicU64::new(0),
            table: Mutex::new(Table::new(rules)),
        }
    }

    /// Goes on with other rules. Leases that are promised keep to the old ones.
    pub fn configure(
        &self,
        range: RangeInclusive<u16>,
        peer_check: PeerCheck,
        leases_per_client: usize,
    ) {
        self.table().rules = Rules {
            range,
            peer_check,
            leases_per_client,
        };
    }

    /// Leases that ended without a connection, in all. Many of them tell of a firewall before the range.
    pub fn unused(&self) -> u64 {
        self.unused.load(Ordering::Relaxed)
    }

    /// Promises a port of `vip`, which is listening from now on, to `client`. `session` is for the
    /// quarantine: any number that tells sessions apart.
    pub fn lease(
        self: &Arc<Self>,
        vip: IpAddr,
        client: IpAddr,
        session: u64,
    ) -> Result<Lease, LeaseError> {
        let limit = self.table().rules.leases_per_client;
        self.lease_within(limit, vip, client, session)
    }

    /// The same for a client who may have any number of them.
    pub fn lease_anyway(
        self: &Arc<Self>,
        vip: IpAddr,
        client: IpAddr,
        session: u64,
    ) -> Result<Lease, LeaseError> {
        self.lease_within(usize::MAX, vip, client, session)
    }

    fn lease_within(
        self: &Arc<Self>,
        limit: usize,
        vip: IpAddr,
        client: IpAddr,
        session: u64,
    ) -> Result<Lease, LeaseError> {
        let client = normalise(client);
        let mut table = self.table();
        if !table.count(client, limit) {
            return Err(LeaseError::ClientLimit { client, limit });
        }
        let Rules {
            range, peer_check, ..
        } = table.rules.clone();
        table.quarantine.forget_old(Instant::now());
        drop(table);
        let slot = Arc::new(Slot::new(client, session, peer_check));
        match self.find_port(normalise(vip), range, &slot) {
            Ok(port) => Ok(Lease {
                ports: Arc::clone(self),
                port,
                slot,
            }),
            Err(error) => {
                self.table().discount(client);
                Err(error)
            }
        }
    }

    fn find_port(
        &self,
        vip: IpAddr,
        range: RangeInclusive<u16>,
        slot: &Arc<Slot>,
    ) -> Result<Arc<Port>, LeaseError> {
        let mut random = rand::rng();
        for _ in 0..TRIES {
            let port = random.random_range(range.clone());
            if let Some(port) = self.try_port(SocketAddr::new(vip, port), slot)? {
                return Ok(port);
            }
        }
        // Hardly any is left: look at each once, in an order as random as the draws were.
        let mut ports: Vec<u16> = range.clone().collect();
        ports.shuffle(&mut random);
        for port in ports {
            if let Some(port) = self.try_port(SocketAddr::new(vip, port), slot)? {
                return Ok(port);
            }
        }
        let client = slot.client;
        Err(LeaseError::RangeExhausted { vip, client, range })
    }

    /// Leases that wait for their connection.
    pub fn in_use(&self) -> usize {
        self.table().leases()
    }

    /// Ports of the range.
    pub fn size(&self) -> usize {
        self.table().rules.range.len()
    }

    /// Ports that the client who is worst off can not have now: those it waits on, and those that it did not use
    /// lately. Where ports are not shared, those that anybody waits on.
    pub fn taken(&self) -> usize {
        let mut table = self.table();
        table.quarantine.forget_old(Instant::now());
        table.taken()
    }

    /// Connections that were reset because no lease was waiting for their address (P12).
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The ports that clients gave up after `since`, each with its client: for another process that leases
    /// ports of the same addresses.
    pub fn given_up(&self, since: Option<Instant>) -> Vec<Key> {
        let mut table = self.table();
        table.quarantine.forget_old(Instant::now());
        table.quarantine.added_after(since)
    }

    /// Keeps a port from a client's sessions for a while, whose late connection was for another process.
    pub fn keep_from(&self, (address, client): Key) {
        let mut table = self.table();
        table
            .quarantine
            .add((address, client), NO_SESSION, Instant::now());
    }

    /// Adds `slot` to those who wait on a port, which listens then. None when this client can not have it.
    fn try_port(
        &self,
        address: SocketAddr,
        slot: &Arc<Slot>,
    ) -> Result<Option<Arc<Port>>, LeaseError> {
        let known = self.table().port_for(address, slot);
        if known.is_some_and(|port| !self.sort_queue(&port)) {
            return Ok(None);
        }
        let Some(port) = self.table().enter(address, slot) else {
            return Ok(None);
        };
        let Err(source) = port.open() else {
            return Ok(Some(port));
        };
        port.room.leave(slot);
        self.close_if_unused(&port);
        if source.kind() == io::ErrorKind::AddrInUse {
            // Someone else's socket: K1.
            return Ok(None);
        }
        Err(LeaseError::Bind { address, source })
    }

    /// After a lease has left `port`.
    fn close_if_unused(&self, port: &Arc<Port>) {
        if port.room.is_empty() {
            port.close_if_unused();
            self.table().forget_if_unused(port);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// Accepts what is queued at `port`, and gives each connection to the lease it belongs to. Ready
    /// when the listener failed or `slot` has been served.
    fn poll_sort(
        &self,
        port: &Arc<Port>,
        slot: &Arc<Slot>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        for _ in 0..ACCEPTS {
            if !port.room.holds(slot) {
                return Poll::Ready(Ok(()));
            }
            let arrival = ready!(port.poll_arrival())?;
            self.sort(port, arrival);
        }
        // A flood of strangers: other tasks first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sorts what has come to `port` by now. False when something may be left, for more comes or the listener fails.
    fn sort_queue(&self, port: &Arc<Port>) -> bool {
        for _ in 0..=BACKLOG {
            match port.poll_arrival() {
                Poll::Pending => return true,
                Poll::Ready(Ok(arrival)) => self.sort(port, arrival),
                Poll::Ready(Err(_)) => return false,
            }
        }
        false
    }

    /// Gives a connection to the lease that it belongs to, or resets it.
    fn sort(&self, port: &Arc<Port>, (stream, peer): (Connection, SocketAddr)) {
        let peer = normalise_socket(peer).ip();
        // Not in the condition, for the table would stay locked.
        let owner = self.table().take_out(port, peer);
        if let Some(owner) = owner {
            self.close_if_unused(port);
            if let Some(waker) = owner.serve(stream) {
                waker.wake();
            }
        } else {
            tracing::debug!(%peer, address = %port.address, "foreign data connection reset");
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A passive port that is promised to one client, for one connection. Dropping it takes the promise back.
pub struct Lease {
    ports: Arc<PassivePorts>,
    port: Arc<Port>,
    slot: Arc<Slot>,
}

impl Lease {
    /// The virtual IP and the port.
    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Waits for the client's connection (P12, P13). The lease is then used up, and not to be polled
    /// again. An error is the listener's, commonly the limit on open files.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Leg>> {
        if let Some(stream) = self.slot.arrival(cx.waker()) {
            return Poll::Ready(Ok(Leg::new(stream)));
        }
        // Whoever serves the lease from now on wakes it.
        ready!(self.ports.poll_sort(&self.port, &self.slot, cx))?;
        match self.slot.arrival(cx.waker()) {
            Some(stream) => Poll::Ready(Ok(Leg::new(stream))),
            None => Poll::Pending,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_unused = self.ports.table().give_up(&self.port, &self.slot);
        if is_unused {
            self.ports.unused.fetch_add(1, Ordering::Relaxed);
            self.ports.close_if_unused(&self.port);
        }
    }
}

/// A lock is poisoned by a panic that left nothing half done: every change here is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sessions of a process are counted from 1.
const NO_SESSION: u64 = 0;

/// Random draws before every port is looked at: enough unless nine of ten ports are taken.
const TRIES: usize = 32;

/// Connections sorted in one poll.
const ACCEPTS: usize = 32;

#[cfg(test)]
mod tests;
