//! `virtual_server_group`: addresses and firewall marks under a name.

use super::tree::Directive;
use super::values::{self, Range};
use crate::config::import::ledger::Id;
use crate::config::problem::Mistake;

/// A line of a group.
pub(super) struct Member {
    pub(super) id: Id,
    /// What it says. Of an address that can not be read, the port is known nevertheless.
    pub(super) what: Result<What, Mistake>,
    pub(super) port: Result<u16, Mistake>,
}

/// What a line of a group stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    Addresses(Range),
    Mark(u32),
}

/// The members of a group.
pub(super) fn members(group: &Directive) -> Vec<Member> {
    let children = group.children().iter();
    children
        .map(|line| {
            if line.keyword == "fwmark" {
                return Member {
                    id: line.id,
                    what: mark(line.argument()).map(What::Mark),
                    port: Ok(0),
                };
            }
            Member {
                id: line.id,
                what: Range::parse(&line.keyword).map(What::Addresses),
                port: values::port(line.argument()),
            }
        })
        .collect()
}

/// A firewall mark.
pub(super) fn mark(text: Option<&str>) -> Result<u32, Mistake> {
    let hint = "a number from 0 to 4294967295";
    let text = text.ok_or_else(|| Mistake::new("has no mark", hint))?;
    text.parse()
        .map_err(|_| Mistake::new(format!("{text:?} is no firewall mark"), hint))
}
