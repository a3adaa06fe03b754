//! Passive ports: which client was promised which port, and the connection that keeps the promise.
//!
//! A lease is (virtual IP, port, client) (design decision 4). While the peer check is strict, one
//! listening port serves many clients, because the address of a connection tells whose it is (P18).
//! Then whoever accepts, sorts: each waiting lease polls the shared listener, and hands what it got to
//! the lease it belongs to.
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
//! - No waker runs while the table is locked.
//!
//! One lock guards it all: a port is checked, bound and listed in one step, a few microseconds each.

mod quarantine;
mod room;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rand::RngExt;
use rand::seq::SliceRandom;
use tokio::time::Instant;

pub use self::quarantine::Key;
use self::quarantine::Quarantine;
use self::room::{Room, Slot};
use super::connection::Listener;
use super::dial::poll_arrival;
use super::leg::{self, Leg};
use super::socket::{self, normalise, normalise_socket};
use crate::config::PeerCheck;

/// The passive ports of one listener.
pub struct PassivePorts {
    refused: AtomicU64,
    unused: AtomicU64,
    table: Mutex<Table>,
}

/// What new leases keep to.
#[derive(Clone)]
struct Rules {
    range: RangeInclusive<u16>,
    peer_check: PeerCheck,
    leases_per_client: usize,
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
            table: Mutex::new(Table {
                rules,
                open: HashMap::new(),
                clients: HashMap::new(),
                quarantine: Quarantine::default(),
            }),
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
        let (client, table) = (normalise(client), self.table());
        let limit = table.rules.leases_per_client;
        if { table.clients.get(&client) }.is_some_and(|leases| *leases >= limit) {
            return Err(LeaseError::ClientLimit { client, limit });
        }
        self.lease_in(table, vip, client, session)
    }

    /// The same for a client who may have any number of them.
    pub fn lease_anyway(
        self: &Arc<Self>,
        vip: IpAddr,
        client: IpAddr,
        session: u64,
    ) -> Result<Lease, LeaseError> {
        self.lease_in(self.table(), vip, normalise(client), session)
    }

    fn lease_in(
        self: &Arc<Self>,
        mut table: MutexGuard<'_, Table>,
        vip: IpAddr,
        client: IpAddr,
        session: u64,
    ) -> Result<Lease, LeaseError> {
        let vip = normalise(vip);
        let Rules {
            range, peer_check, ..
        } = table.rules.clone();
        table.quarantine.forget_old(Instant::now());
        let slot = Arc::new(Slot::new(client, session, peer_check));
        let mut random = rand::rng();
        for _ in 0..TRIES {
            let port = random.random_range(range.clone());
            if Self::try_port(&mut table, SocketAddr::new(vip, port), &slot)? {
                return Ok(self.promise(&mut table, SocketAddr::new(vip, port), slot));
            }
        }
        // Hardly any is left: look at each once, in an order as random as the draws were.
        let mut ports: Vec<u16> = range.clone().collect();
        ports.shuffle(&mut random);
        for port in ports {
            if Self::try_port(&mut table, SocketAddr::new(vip, port), &slot)? {
                return Ok(self.promise(&mut table, SocketAddr::new(vip, port), slot));
            }
        }
        Err(LeaseError::RangeExhausted { vip, client, range })
    }

    /// Leases that wait for their connection.
    pub fn in_use(&self) -> usize {
        self.table().clients.values().sum()
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

    /// Adds `slot` to the port's listener, opening it if there is none. False when this client can not
    /// have the port.
    fn try_port(
        table: &mut Table,
        address: SocketAddr,
        slot: &Arc<Slot>,
    ) -> Result<bool, LeaseError> {
        if table.quarantine.holds((address, slot.client), slot.session) {
            return Ok(false);
        }
        if let Some(shared) = table.open.get(&address) {
            let usable = shared.room.takes(slot);
            if usable {
                shared.room.enter(Arc::clone(slot));
            }
            return Ok(usable);
        }
        match open(address) {
            Ok(listener) => {
                let room = Arc::new(Room::default());
                room.enter(Arc::clone(slot));
                table.open.insert(address, Shared { listener, room });
                Ok(true)
            }
            // Someone else's socket: K1.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
            Err(source) => Err(LeaseError::Bind { address, source }),
        }
    }

    fn promise(self: &Arc<Self>, table: &mut Table, address: SocketAddr, slot: Arc<Slot>) -> Lease {
        *table.clients.entry(slot.client).or_default() += 1;
        Lease {
            ports: Arc::clone(self),
            address,
            slot,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// Accepts what is queued at `address`, and gives each connection to the lease it belongs to. Ready
    /// when the listener failed or `slot` has been served. The wakers returned are to be woken when the
    /// table is unlocked.
    fn poll_sort(
        &self,
        address: SocketAddr,
        slot: &Arc<Slot>,
        cx: &Context<'_>,
    ) -> (Poll<io::Result<()>>, Vec<Waker>) {
        let mut table = self.table();
        let mut wakers = Vec::new();
        for _ in 0..ACCEPTS {
            let Some(shared) = table
                .open
                .get(&address)
                .filter(|shared| shared.room.holds(slot))
            else {
                return (Poll::Ready(Ok(())), wakers);
            };
            let all = Waker::from(Arc::clone(&shared.room));
            match poll_arrival(&shared.listener, &mut Context::from_waker(&all)) {
                Poll::Pending => return (Poll::Pending, wakers),
                Poll::Ready(Err(error)) => return (Poll::Ready(Err(error)), wakers),
                Poll::Ready(Ok((stream, peer))) => {
                    let peer = normalise_socket(peer).ip();
                    if let Some(owner) = shared
                        .room
                        .find(|one| one.peer_check.allows(one.client, peer))
                    {
                        table.remove(address, &owner);
                        wakers.extend(owner.serve(stream));
                    } else {
                        tracing::debug!(%peer, %address, "foreign data connection reset");
                        self.refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        // A flood of strangers: other tasks first.
        wakers.push(cx.waker().clone());
        (Poll::Pending, wakers)
    }
}

/// A passive port that is promised to one client, for one connection. Dropping it takes the promise back.
pub struct Lease {
    ports: Arc<PassivePorts>,
    address: SocketAddr,
    slot: Arc<Slot>,
}

impl Lease {
    /// The virtual IP and the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the client's connection (P12, P13). The lease is then used up, and not to be polled
    /// again. An error is the listener's, commonly the limit on open files.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Leg>> {
        if let Some(stream) = self.slot.arrival(cx.waker()) {
            return Poll::Ready(Ok(Leg::new(stream)));
        }
        let (sorted, wakers) = self.ports.poll_sort(self.address, &self.slot, cx);
        for waker in wakers {
            waker.wake();
        }
        match sorted {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => match self.slot.arrival(cx.waker()) {
                Some(stream) => Poll::Ready(Ok(Leg::new(stream))),
                None => Poll::Pending,
            },
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut table = self.ports.table();
        if table.remove(self.address, &self.slot) {
            let key = (self.address, self.slot.client);
            table.quarantine.add(key, self.slot.session, Instant::now());
            self.ports.unused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What is leased.
struct Table {
    rules: Rules,
    open: HashMap<SocketAddr, Shared>,
    /// Leases waiting, by client.
    clients: HashMap<IpAddr, usize>,
    quarantine: Quarantine,
}

impl Table {
    fn taken(&self) -> usize {
        let is_shared = self.rules.peer_check == PeerCheck::Strict;
        let waiting = { self.open.iter() }.flat_map(|(address, shared)| {
            let clients = shared.room.clients();
            clients.into_iter().map(|client| (*address, client))
        });
        let resting = self.quarantine.keys().filter(|_| is_shared);
        let mut taken: HashMap<_, HashSet<SocketAddr>> = HashMap::new();
        for (address, client) in waiting.chain(resting) {
            let whose = (address.ip(), is_shared.then_some(client));
            taken.entry(whose).or_default().insert(address);
        }
        { taken.values() }.map(HashSet::len).max().unwrap_or(0)
    }

    /// Ends the wait of `slot`, and closes the listener that nobody waits on any more. False when it
    /// did not wait.
    fn remove(&mut self, address: SocketAddr, slot: &Arc<Slot>) -> bool {
        let Some(shared) = self.open.get(&address) else {
            return false;
        };
        if !shared.room.leave(slot) {
            return false;
        }
        if shared.room.is_empty() {
            self.open.remove(&address);
        }
        if let Some(leases) = self.clients.get_mut(&slot.client) {
            *leases -= 1;
            if *leases == 0 {
                self.clients.remove(&slot.client);
            }
        }
        true
    }
}

/// A listener and the leases that wait on it.
struct Shared {
    listener: Listener,
    room: Arc<Room>,
}

fn open(address: SocketAddr) -> io::Result<Listener> {
    let socket = socket::bound(address)?;
    leg::prepare(&socket)?;
    socket::listen_for_data(socket, BACKLOG)
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

/// Connections the kernel keeps for a listener, which is polled by every lease on it.
const BACKLOG: i32 = 64;

#[cfg(test)]
mod tests;
