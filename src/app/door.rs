//! Where others ask: the admin address, the API and the handover. Bound before anything changes, moved by a
//! reload.

use tokio_util::sync::CancellationToken;

use super::Aside;
use super::bind::Bound;
use crate::net::inherit::Shared;

/// An address at which somebody answers, if anywhere.
pub(super) struct Door<A>(Option<Open<A>>);

struct Open<A> {
    address: A,
    stop: CancellationToken,
    shared: Shared,
}

impl<A> Default for Door<A> {
    fn default() -> Self {
        Self(None)
    }
}

impl<A: Clone + PartialEq> Door<A> {
    /// Where it is open.
    pub(super) fn address(&self) -> Option<&A> {
        self.0.as_ref().map(|open| &open.address)
    }

    /// For another process.
    pub(super) fn shared(&self) -> Option<&Shared> {
        self.0.as_ref().map(|open| &open.shared)
    }

    /// Takes nobody any more. Whoever is there gets an answer.
    pub(super) fn close(&mut self) {
        if let Some(open) = self.0.take() {
            open.stop.cancel();
        }
    }

    /// What `wanted` is bound to by `bind`, if it is another than now.
    pub(super) fn fresh<S, E>(
        &self,
        wanted: Option<&A>,
        bind: impl FnOnce(&A) -> Result<S, E>,
    ) -> Result<Option<S>, E> {
        let other = wanted.filter(|_| wanted != self.address());
        other.map(bind).transpose()
    }

    /// Goes on at `wanted`, which is `fresh` if it is another. The old one takes nobody any more then, and
    /// whoever is there gets an answer. Returns the address that is closed.
    pub(super) fn move_to<S, F>(
        &mut self,
        wanted: Option<&A>,
        fresh: Option<Bound<S>>,
        aside: &Aside,
        serve: impl FnOnce(S, CancellationToken) -> F,
    ) -> Option<A>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let next = match (wanted, fresh) {
            (Some(address), Some(Bound { socket, shared, .. })) => {
                let stop = aside.stop.child_token();
                aside.tasks.spawn(serve(socket, stop.clone()));
                let address = address.clone();
                Some(Open {
                    address,
                    stop,
                    shared,
                })
            }
            (Some(_), None) => return None,
            (None, _) => None,
        };
        let Open { address, stop, .. } = std::mem::replace(&mut self.0, next)?;
        stop.cancel();
        Some(address)
    }
}
