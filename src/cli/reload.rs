//! `ftplb reload`: a running ftplb goes on with its configuration as it is now.

use super::ask::{AskError, Where};
use super::print;
use crate::ops::status::Reloaded;

pub(super) fn run(at: &Where) -> Result<(), AskError> {
    let Reloaded { changes } = at.api()?.post("/v1/reload", None)?;
    for change in &changes {
        print(&format!("{change}\n"));
    }
    print(match changes.len() {
        0 => "nothing has changed\n",
        _ => "reloaded\n",
    });
    Ok(())
}
