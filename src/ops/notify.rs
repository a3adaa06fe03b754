//! Programs of the operator's that hear of changes: keepalived's notify scripts.

use std::sync::Arc;

use crate::balance::Target;
use crate::config::{Notify, Scripts};

/// Runs what is to be told of changes.
#[derive(Debug, Default)]
pub struct Notifier {}

impl Notifier {
    /// A backend has come up or gone down.
    pub fn backend(
        &self,
        _pool: &Arc<str>,
        _target: &Target,
        _is_up: bool,
        _notify: &Notify,
        _scripts: &Scripts,
    ) {
    }

    /// The quorum of a pool was gained or lost.
    pub fn quorum(&self, _pool: &Arc<str>, _is_held: bool, _notify: &Notify, _scripts: &Scripts) {}
}
