//! Passive ports: which client was promised which port, and the connection that keeps the promise.
//!
//! A lease is (virtual IP, port, client) (design decision 4). While the peer check is strict, one
//! listening port serves many clients, because the address of a connection tells whose it is (P18).
//! Then whoever accepts, sorts: each waiting lease polls the shared listener, and hands what it got to
//! the lease it belongs to.
//!
//! ```text
//!   lease() ─▶ waiting ── own connection accepted ─▶ used up (the port is free for others at once, and
//!                 │                                   may be kept open for them, see `warm`)
//!                 └───── dropped ─▶ in quarantine for this client (P11)
//! ```
//!
//! # Invariants
//! - A port is within the range, in LISTEN before the lease exists (P6), and never leased twice to a client.
//! - A listener exists while a lease waits on it. When its last one goes it is closed at once, and the kernel
//!   resets what was still queued (K6, P13); or it is kept warm, and what is queued is reset then.
//! - Ports are drawn by a CSPRNG, uniformly from those this client may have (P11).
//! - No waker runs while the table is locked.
//!
//! One lock guards it all: a port is checked, bound and listed in one step, a few microseconds each.

mod quarantine;
mod room;
mod warm;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use tokio::time::Instant;

use self::quarantine::Quarantine;
use self::room::{Shared, Slot, lock};
use self::warm::{Drawn, WARMTH, Warm};
use super::dial::poll_arrival;
use super::leg::Leg;
use super::socket::{normalise, normalise_socket};
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
                warm: Warm::default(),
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
        let rules = Rules {
            range,
            peer_check,
            leases_per_client,
        };
        let mut table = self.table();
        table.rules = rules;
        let cold = table.warm.take_all();
        drop(table);
        drop(cold);
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
        let slot = Arc::new(Slot {
            client,
            session,
            peer_check,
            state: Mutex::default(),
        });
        let mut random = rand::rng();
        if let Some(address) = self.try_warm(&mut table, vip, &slot, &mut random) {
            return Ok(self.promise(&mut table, address, slot));
        }
        for _ in 0..TRIES {
            let port = random.random_range(range.clone());
            if Self::try_port(&mut table, SocketAddr::new(vip, port), &slot)? {
                return Ok(self.promise(&mut table, SocketAddr::new(vip, port), slot));
            }
        }
        // Hardly any is left: look at each once, in an order as random as the draws were.
        drop(table.warm.take_all());
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

    /// Connections that were reset because no lease was waiting for their address (P12).
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
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
        match Shared::open(address, slot) {
            Ok(shared) => {
                table.open.insert(address, shared);
                Ok(true)
            }
            // Someone else's socket: K1.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
            // Descriptors may be short.
            Err(_) if !table.warm.is_empty() => {
                drop(table.warm.take_all());
                Self::try_port(table, address, slot)
            }
            Err(source) => Err(LeaseError::Bind { address, source }),
        }
    }

    /// Lends `slot` a listener that was kept, where the address of a connection tells whose it is. Who was
    /// queued on one is reset, and counts as refused.
    fn try_warm(
        &self,
        table: &mut Table,
        vip: IpAddr,
        slot: &Arc<Slot>,
        random: &mut impl Rng,
    ) -> Option<SocketAddr> {
        if slot.peer_check != PeerCheck::Strict {
            return None;
        }
        let (address, shared) = match table.warm.draw(vip, random) {
            Drawn::None => return None,
            Drawn::Quiet(address, shared) => (address, shared),
            Drawn::Disturbed => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        };
        if table.quarantine.holds((address, slot.client), slot.session) {
            return None;
        }
        shared.room.enter(Arc::clone(slot));
        table.open.insert(address, shared);
        Some(address)
    }

    /// Closes the listeners that were kept for too long, as long as there are any.
    async fn sweep(ports: Weak<Self>) {
        loop {
            tokio::time::sleep(WARMTH / 2).await;
            let Some(ports) = ports.upgrade() else {
                return;
            };
            let mut table = ports.table();
            let old = table.warm.take_old(Instant::now());
            let is_over = table.warm.is_empty();
            table.warm.is_swept = !is_over;
            drop(table);
            drop(old);
            if is_over {
                return;
            }
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

    /// Keeps the listener whose last lease was used up, if it may be lent again.
    fn keep_warm(self: &Arc<Self>, table: &mut Table, address: SocketAddr, left: Option<Shared>) {
        if table.rules.peer_check != PeerCheck::Strict {
            return;
        }
        let Some(shared) = left else { return };
        let range = table.rules.range.clone();
        let closed = table.warm.keep(address, shared, &range, Instant::now());
        if closed.is_none() && !std::mem::replace(&mut table.warm.is_swept, true) {
            tokio::spawn(Self::sweep(Arc::downgrade(self)));
        }
    }

    /// Accepts what is queued at `address`, and gives each connection to the lease it belongs to. Ready
    /// when the listener failed or `slot` has been served. The wakers returned are to be woken when the
    /// table is unlocked.
    fn poll_sort(
        self: &Arc<Self>,
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
                        let (_, left) = table.remove(address, &owner);
                        self.keep_warm(&mut table, address, left);
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
            return Poll::Ready(Ok(Leg::accepted(stream)));
        }
        let (sorted, wakers) = self.ports.poll_sort(self.address, &self.slot, cx);
        for waker in wakers {
            waker.wake();
        }
        match sorted {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => match self.slot.arrival(cx.waker()) {
                Some(stream) => Poll::Ready(Ok(Leg::accepted(stream))),
                None => Poll::Pending,
            },
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut table = self.ports.table();
        let (has_waited, left) = table.remove(self.address, &self.slot);
        if has_waited {
            let key = (self.address, self.slot.client);
            table.quarantine.add(key, self.slot.session, Instant::now());
            self.ports.unused.fetch_add(1, Ordering::Relaxed);
        }
        drop(table);
        drop(left);
    }
}

/// What is leased.
struct Table {
    rules: Rules,
    open: HashMap<SocketAddr, Shared>,
    /// Leases waiting, by client.
    clients: HashMap<IpAddr, usize>,
    quarantine: Quarantine,
    warm: Warm,
}

impl Table {
    /// Ends the wait of `slot`. Whether it did wait, and the listener that nobody waits on any more.
    fn remove(&mut self, address: SocketAddr, slot: &Arc<Slot>) -> (bool, Option<Shared>) {
        let Some(shared) = self.open.get(&address) else {
            return (false, None);
        };
        if !shared.room.leave(slot) {
            return (false, None);
        }
        let is_left = shared.room.is_empty();
        let left = is_left.then(|| self.open.remove(&address)).flatten();
        if let Some(leases) = self.clients.get_mut(&slot.client) {
            *leases -= 1;
            if *leases == 0 {
                self.clients.remove(&slot.client);
            }
        }
        (true, left)
    }
}

/// Random draws before every port is looked at: enough unless nine of ten ports are taken.
const TRIES: usize = 32;

/// Connections sorted in one poll.
const ACCEPTS: usize = 32;

#[cfg(test)]
mod tests;
