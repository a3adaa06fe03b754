use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Call, MAX_WAITING, News, Notifier, Subject, VecDeque, drop_one};
use crate::balance::{BackendId, Member, Pool, Settings, Target};
use crate::config::{Notify, Script, Scripts};

const SOON: Duration = Duration::from_secs(20);

/// A pool with backends called `b0` and so on, and a directory in which scripts write.
struct Scene {
    notifier: Notifier,
    pool: Arc<str>,
    targets: Vec<Arc<Target>>,
    home: TempDir,
}

impl Scene {
    fn new(backends: u8) -> Self {
        let now = Instant::now();
        let pool = Pool::new("files", 1, now);
        let member = |last: u8| Member {
            address: ([10, 0, 0, last], 21).into(),
            name: format!("b{last}").into(),
            weight: 1,
            max_sessions: 0,
            resume_sessions: 0,
            checks: Vec::new(),
        };
        let members = (0..backends).map(member).collect();
        pool.configure(members, Settings::default(), now);
        Self {
            notifier: Notifier::default(),
            pool: Arc::clone(pool.name()),
            targets: pool.snapshot(now).targets().to_vec(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// The same script for up and down.
    fn tell(&self, backend: usize, is_up: bool, text: &str) {
        let target = &self.targets[backend];
        self.notifier
            .backend(&self.pool, target, is_up, &script(text), &scripts(SOON));
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).unwrap_or_default()
    }
}

fn script(text: &str) -> Notify {
    let words = ["sh", "-c", text].map(str::to_owned).into();
    let script = Some(Script {
        words,
        run_as: None,
    });
    Notify {
        on_up: script.clone(),
        on_down: script,
    }
}

fn scripts(timeout: Duration) -> Scripts {
    Scripts {
        run_as: None,
        timeout,
    }
}

async fn appears(path: &str) {
    let deadline = Instant::now() + SOON;
    while !Path::new(path).exists() {
        assert!(Instant::now() < deadline, "{path} does not appear");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn scripts_of_a_pool_run_one_at_a_time_in_the_order_of_the_news() {
    let scene = Scene::new(2);
    let log = scene.path("log");
    // Were two of them to run at once, the second would write first.
    let slow = format!("sleep 0.2; echo slow $FTPLB_BACKEND $FTPLB_STATE >> {log}");
    let fast = format!("echo fast $FTPLB_BACKEND $FTPLB_STATE >> {log}");
    scene.tell(0, false, &slow);
    scene.tell(1, false, &fast);
    scene.tell(0, true, &fast);
    scene.notifier.finish(SOON).await;
    assert_eq!(
        scene.read("log"),
        "slow b0 down\nfast b1 down\nfast b0 up\n"
    );
}

#[tokio::test]
async fn a_script_is_told_what_has_changed() {
    let scene = Scene::new(1);
    let log = scene.path("log");
    let text = format!("env | grep ^FTPLB_ | sort >> {log}; echo >> {log}");
    scene.tell(0, false, &text);
    for is_held in [false, true] {
        let notify = script(&text);
        scene
            .notifier
            .quorum(&scene.pool, is_held, &notify, &scripts(SOON));
    }
    scene.notifier.finish(SOON).await;
    assert_eq!(
        scene.read("log"),
        "FTPLB_ADDRESS=10.0.0.0:21\nFTPLB_BACKEND=b0\nFTPLB_POOL=files\nFTPLB_STATE=down\n\n\
         FTPLB_POOL=files\nFTPLB_QUORUM=lost\nFTPLB_STATE=down\n\n\
         FTPLB_POOL=files\nFTPLB_QUORUM=held\nFTPLB_STATE=up\n\n"
    );
}

#[tokio::test]
async fn only_the_script_for_this_change_is_run() {
    let scene = Scene::new(1);
    let mut notify = script(&format!("touch {}", scene.path("told")));
    notify.on_up = None;
    let target = &scene.targets[0];
    for is_up in [true, false] {
        scene
            .notifier
            .backend(&scene.pool, target, is_up, &notify, &scripts(SOON));
        assert_eq!(scene.notifier.tellers.len(), usize::from(!is_up));
    }
    scene.notifier.finish(SOON).await;
    assert!(Path::new(&scene.path("told")).exists());
}

#[tokio::test]
async fn a_script_that_fails_or_takes_too_long_does_not_stop_the_next() {
    let scene = Scene::new(1);
    let target = &scene.targets[0];
    scene.tell(0, false, "exit 3");
    let endless = script("sleep 1000");
    let brief = scripts(Duration::from_millis(50));
    scene
        .notifier
        .backend(&scene.pool, target, true, &endless, &brief);
    scene.tell(0, false, &format!("touch {}", scene.path("told")));
    scene.notifier.finish(SOON).await;
    assert!(Path::new(&scene.path("told")).exists());
    assert!(
        scene.notifier.queues.lock().is_empty(),
        "no queue without a task"
    );
}

#[tokio::test]
async fn pools_do_not_wait_for_each_other() {
    let scene = Scene::new(1);
    let told = scene.path("told");
    scene.tell(0, false, "sleep 1000");
    let other: Arc<str> = "other".into();
    let notify = script(&format!("touch {told}"));
    scene
        .notifier
        .quorum(&other, false, &notify, &scripts(SOON));
    appears(&told).await;
    scene.notifier.finish(Duration::ZERO).await;
}

#[tokio::test]
async fn at_the_end_scripts_are_waited_for_no_longer_than_allowed() {
    let scene = Scene::new(2);
    let begun = scene.path("begun");
    scene.tell(0, false, &format!("touch {begun}; sleep 1000"));
    scene.tell(1, false, &format!("touch {}", scene.path("never")));
    appears(&begun).await;
    let start = Instant::now();
    scene.notifier.finish(Duration::from_millis(50)).await;
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(!Path::new(&scene.path("never")).exists());
    assert!(scene.notifier.queues.lock().is_empty());
}

#[test]
fn a_full_queue_keeps_the_last_word_on_each_backend() {
    let news = |id, state| News {
        subject: Subject::Backend(BackendId(id)),
        name: "b".into(),
        state,
        call: Call {
            words: vec!["tell".into()],
            run_as: None,
            environment: Vec::new(),
            limit: SOON,
        },
    };
    let states = |queue: &VecDeque<News>| -> Vec<_> {
        let of = |news: &News| (news.subject, news.state);
        queue.iter().map(of).collect()
    };
    let of = |id, state| (Subject::Backend(BackendId(id)), state);
    let mut queue: VecDeque<_> = [news(1, "down"), news(2, "down"), news(2, "up")].into();
    drop_one("p", &mut queue, Subject::Quorum);
    assert_eq!(states(&queue), [of(1, "down"), of(2, "up")], "overtaken");
    drop_one("p", &mut queue, Subject::Backend(BackendId(2)));
    assert_eq!(states(&queue), [of(1, "down")], "overtaken by what comes");
    drop_one("p", &mut queue, Subject::Quorum);
    assert_eq!(states(&queue), [], "or else the oldest");
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let scene = Scene::new(1);
    for _ in 0..=MAX_WAITING {
        scene.tell(0, false, "sleep 1000");
        scene.tell(0, true, "sleep 1000");
    }
    let waiting = scene.notifier.queues.lock()[&scene.pool].len();
    assert_eq!(waiting, MAX_WAITING);
    scene.notifier.finish(Duration::ZERO).await;
}
