//! The memory of the kernel for one program: its sockets, descriptors, registrations with epoll. The kernel
//! counts that for a control group, exactly, whatever else the machine does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{process, thread};

use anyhow::Context as _;

/// A control group for memory, of the old kind or the new.
pub(crate) struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// An empty group. None where this user may not make one, as most but root.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let folder = format!("ftplb-bench-{}-{name}", process::id());
        let folder = ROOTS
            .map(|root| Path::new(root).join(&folder))
            .into_iter()
            .find(|folder| fs::create_dir(folder).is_ok())?;
        let group = Self { folder };
        group.kernel_bytes().is_ok().then_some(group)
    }

    /// What a process writes its id to, to be counted with all that it will start.
    pub(crate) fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// Of all its members.
    pub(crate) fn kernel_bytes(&self) -> anyhow::Result<u64> {
        if let Ok(text) = fs::read_to_string(self.folder.join("memory.kmem.usage_in_bytes")) {
            return Ok(text.trim().parse()?);
        }
        let text = fs::read_to_string(self.folder.join("memory.stat"))?;
        let bytes = text.lines().find_map(|line| line.strip_prefix("kernel "));
        Ok(bytes.context("no kernel in memory.stat")?.parse()?)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Its members have been killed, and may need a moment more.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Where the two kinds are by custom. On a host with both the old one has the memory.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
