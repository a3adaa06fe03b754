//! What was last seen of each backend of a pool, for whoever asks how it is: the results of its checks,
//! and since when it is as it is. Decides nothing.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::balance::{BackendId, Member, Snapshot, Standing, Target};
use crate::health::CheckId;

/// The pages of all backends of a pool.
#[derive(Debug, Default)]
pub struct Journal {
    pages: Mutex<HashMap<BackendId, Page>>,
}

/// What is known of one backend.
#[derive(Clone, Debug)]
pub struct Page {
    /// Since when it has been as it is, as far as anybody looked.
    pub since: Instant,
    /// The last result of each check that has run.
    pub results: Vec<CheckResult>,
    /// The weight that it is configured with; `None` of one that is no longer configured or found.
    pub weight: Option<u32>,
    condition: Condition,
}

/// The last result of a check.
#[derive(Clone, Debug)]
pub struct CheckResult {
    /// When it ended.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub error: Option<String>,
    check: CheckId,
}

/// What the operator wants of a backend, and what its health is called.
type Condition = (Standing, &'static str);

impl Journal {
    /// Goes on with the backend called `id` as `member`. Checks that are no longer run are forgotten.
    pub(super) fn configured(&self, id: BackendId, member: &Member, now: Instant) {
        let mut pages = self.pages();
        let page = pages.entry(id).or_insert_with(|| Page::new(now));
        page.weight = Some(member.weight);
        let is_run = |result: &CheckResult| member.checks.contains(&result.check);
        page.results.retain(is_run);
    }

    /// Takes the result of a check, which took so long.
    pub(super) fn checked(
        &self,
        id: BackendId,
        check: CheckId,
        took: Duration,
        error: Option<&dyn Error>,
        now: Instant,
    ) {
        let result = CheckResult {
            at: now,
            took,
            error: error.map(with_source),
            check,
        };
        let mut pages = self.pages();
        let page = pages.entry(id).or_insert_with(|| Page::new(now));
        match page.results.iter_mut().find(|known| known.check == check) {
            Some(known) => *known = result,
            None => page.results.push(result),
        }
    }

    /// Looks at all backends of the pool. Those that are gone are forgotten.
    pub fn observe(&self, snapshot: &Snapshot, now: Instant) {
        let mut pages = self.pages();
        pages.retain(|id, _| snapshot.target(*id).is_some());
        for target in snapshot.targets() {
            let page = pages.entry(target.id).or_insert_with(|| Page::new(now));
            page.observe(target, now);
        }
    }

    /// What is known of the backend called `id`.
    pub fn page(&self, id: BackendId) -> Option<Page> {
        self.pages().get(&id).cloned()
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<BackendId, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            results: Vec::new(),
            weight: None,
            condition: (Standing::Serving, ""),
        }
    }

    fn observe(&mut self, target: &Target, now: Instant) {
        let condition = (target.standing, target.state.label());
        if self.condition != condition {
            self.condition = condition;
            self.since = now;
        }
        if target.standing == Standing::Removed {
            self.weight = None;
        }
    }
}

/// An error with what is behind it, in one line.
fn with_source(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::balance::{Pool, Settings};

    fn member(checks: &[CheckId]) -> Member {
        Member {
            address: "192.0.2.1:21".parse().unwrap(),
            name: "a".into(),
            weight: 3,
            max_sessions: 0,
            resume_sessions: 0,
            checks: checks.to_vec(),
        }
    }

    #[test]
    fn a_page_says_since_when_a_backend_is_as_it_is_and_goes_with_it() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let (pool, journal) = (Pool::new("p", 0, start), Journal::default());
        let _news = pool.configure(vec![member(&[])], Settings::default(), start);
        let id = pool.snapshot(start).targets()[0].id;
        journal.configured(id, &member(&[]), start);
        let since = |at: Instant| {
            journal.observe(&pool.snapshot(at), at);
            journal
                .page(id)
                .map(|page| (page.since - start, page.weight))
        };
        assert_eq!(since(start), Some((Duration::ZERO, Some(3))));
        assert_eq!(since(start + second), Some((Duration::ZERO, Some(3))));
        let _news = pool.set_standing(id, Standing::Draining, start);
        assert_eq!(since(start + second * 2), Some((second * 2, Some(3))));
        assert_eq!(since(start + second * 3), Some((second * 2, Some(3))));
        let _news = pool.configure(Vec::new(), Settings::default(), start);
        assert_eq!(since(start + second * 4), Some((second * 4, None)));
        assert_eq!(pool.reap(start).len(), 1);
        assert_eq!(since(start + second * 5), None);
    }

    #[test]
    fn a_check_is_known_by_its_last_result_while_it_is_run() {
        let (now, took) = (Instant::now(), Duration::from_millis(7));
        let (journal, id) = (Journal::default(), BackendId(1));
        let [first, second] = [CheckId(1), CheckId(2)];
        let refused = io::Error::other("refused");
        for (check, error) in [(first, None), (second, None), (first, Some(&refused))] {
            let error = error.map(|error| error as &dyn Error);
            journal.checked(id, check, took, error, now);
        }
        let errors = || {
            let page = journal.page(id).unwrap();
            let errors = page.results.into_iter().map(|result| result.error);
            errors.collect::<Vec<_>>()
        };
        assert_eq!(errors(), [Some("refused".to_owned()), None]);
        journal.configured(id, &member(&[second]), now);
        assert_eq!(errors(), [None]);
    }
}
