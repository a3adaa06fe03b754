use std::collections::BTreeSet;
use std::net::IpAddr;

use tokio::sync::mpsc;

use super::*;
use crate::balance::Request;
use crate::config::check::{Surroundings, check};
use crate::config::{Config, Scripts};
use crate::health::{Availability, Verdict};
use crate::telemetry::log::Dropped;

/// A pool that discovers, and checks whom it has in an hour.
const DISCOVERED: &str = r#"
[[listener]]
address = "127.0.0.1:0"
[[pool]]
name = "files"
health = { probe = "tcp", interval = "1h", warmup = "1h" }
[[pool.backend]]
address = "127.0.0.1:9"
name = "fixed"
[[pool.discover]]
name = "ftp.test"
servers = ["127.0.0.1:9"]
min_interval = "1h"
max_interval = "1h"
"#;

fn config(text: &str) -> Config {
    let problems = |problems| panic!("{text}\n{problems:#?}");
    let checked = check(text, "x.toml", &Surroundings::default());
    checked.unwrap_or_else(problems).config
}

fn fleet() -> Fleet {
    Fleet::new(mpsc::channel(1).0, Dropped::default(), None)
}

fn surrounding() -> Surrounding {
    Surrounding {
        scripts: Scripts {
            run_as: None,
            timeout: Duration::from_secs(60),
        },
        backend_drain: Duration::from_secs(300),
        listener: None,
    }
}

fn members(config: &Config, fleet: &Fleet) -> Arc<Members> {
    Members::new(config.pools[0].clone(), surrounding(), fleet)
}

fn reconfigure(members: &Arc<Members>, text: &str) {
    members.configure(config(text).pools[0].clone(), surrounding());
}

fn question(members: &Members) -> Question {
    Question::of(&members.config().discoveries[0])
}

fn hosts(last: impl IntoIterator<Item = u8>) -> Vec<Found> {
    let ip = |last| Found::Host(IpAddr::from([127, 0, 9, last]));
    last.into_iter().map(ip).collect()
}

/// The names of the backends that are given new sessions or were, by standing.
fn names(members: &Members, standing: Standing) -> Vec<String> {
    let snapshot = members.parts.pool.snapshot(Instant::now());
    let standing = |target: &&Arc<Target>| target.standing == standing;
    let targets = snapshot.targets().iter().filter(standing);
    targets.map(|target| target.name.to_string()).collect()
}

/// The series of backends: name and labels.
fn series(fleet: &Fleet) -> BTreeSet<String> {
    let text = fleet.process.metrics.render();
    let lines = text.lines().filter(|line| line.contains("pool=\"files\""));
    lines
        .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
        .collect()
}

#[tokio::test]
async fn hundreds_of_changes_leave_nothing_behind() {
    let fleet = fleet();
    let members = members(&config(DISCOVERED), &fleet);
    let question = question(&members);
    members.discovered(&question, hosts([1, 2]));
    let (checks, before) = (fleet.checks.len(), series(&fleet));
    assert_eq!(checks, 3);
    assert!(before.iter().any(|line| line.contains("127.0.9.1:21")));
    for round in 0..300_u32 {
        let last = u8::try_from(round % 200).unwrap();
        members.discovered(&question, hosts([last, last + 1, last + 2]));
        members.publish(Instant::now());
        members.tend(Instant::now());
    }
    members.discovered(&question, hosts([1, 2]));
    members.tend(Instant::now());
    assert_eq!(fleet.checks.len(), checks);
    assert_eq!(series(&fleet), before);
    let inner = members.inner();
    assert_eq!(inner.subscriptions.len(), 3);
    assert_eq!((inner.notifies.len(), inner.leaving.len()), (3, 0));
    drop(inner);
    members.retire();
    assert_eq!(fleet.checks.len(), 0);
    members.tend(Instant::now());
    assert!(members.is_gone(Instant::now()));
    drop(members);
    assert_eq!(series(&fleet), BTreeSet::new());
}

#[tokio::test]
async fn a_backend_that_vanishes_is_drained_and_comes_back_as_it_was() {
    let fleet = fleet();
    let members = members(&config(DISCOVERED), &fleet);
    let question = question(&members);
    members.discovered(&question, hosts([1, 2]));
    let pool = &members.parts.pool;
    let snapshot = pool.snapshot(Instant::now());
    let second = { snapshot.targets().iter() }
        .find(|target| &*target.name == "127.0.9.2:21")
        .cloned()
        .unwrap();
    let session = second.load.enter();
    members.discovered(&question, hosts([1]));
    members.tend(Instant::now());
    assert_eq!(
        names(&members, Standing::Serving),
        ["fixed", "127.0.9.1:21"]
    );
    assert_eq!(names(&members, Standing::Removed), ["127.0.9.2:21"]);
    members.discovered(&question, hosts([1, 2]));
    let snapshot = pool.snapshot(Instant::now());
    let back = snapshot.target(second.id).expect("it is the same one");
    assert_eq!((back.standing, back.load.active()), (Standing::Serving, 1));
    members.discovered(&question, hosts([1]));
    drop(session);
    members.tend(Instant::now());
    assert_eq!(names(&members, Standing::Removed), [""; 0]);
}

#[tokio::test]
async fn a_configured_address_is_not_found_a_second_time() {
    let fleet = fleet();
    let text = DISCOVERED.replace("127.0.0.1:9\"\nname", "127.0.9.1:21\"\nname");
    let members = members(&config(&text), &fleet);
    members.discovered(&question(&members), hosts([1, 2]));
    assert_eq!(
        names(&members, Standing::Serving),
        ["fixed", "127.0.9.2:21"]
    );
    // Where it is written no longer, it is found, and is the same backend under another name.
    let written = "[[pool.backend]]\naddress = \"127.0.9.1:21\"\nname = \"fixed\"\n";
    let id = |name: &str| {
        let snapshot = members.parts.pool.snapshot(Instant::now());
        let mut targets = snapshot.targets().iter();
        targets
            .find(|target| &*target.name == name)
            .map(|target| target.id)
    };
    let before = id("fixed");
    reconfigure(&members, &text.replace(written, ""));
    assert_eq!(
        names(&members, Standing::Serving),
        ["127.0.9.1:21", "127.0.9.2:21"]
    );
    assert_eq!(id("127.0.9.1:21"), before);
}

#[tokio::test]
async fn what_was_found_stays_while_the_question_does() {
    let fleet = fleet();
    let members = members(&config(DISCOVERED), &fleet);
    let before = question(&members);
    members.discovered(&before, hosts([1]));
    let other_port = "name = \"ftp.test\"\nport = 2121\nweight = 3\nmax_sessions = 7";
    reconfigure(
        &members,
        &DISCOVERED.replace("name = \"ftp.test\"", other_port),
    );
    let snapshot = members.parts.pool.snapshot(Instant::now());
    let found = &snapshot.targets()[1];
    assert_eq!(&*found.name, "127.0.9.1:2121");
    assert_eq!((found.weight, found.load.limits().0), (3, 7));
    reconfigure(&members, &DISCOVERED.replace("ftp.test", "other.test"));
    assert_eq!(names(&members, Standing::Serving), ["fixed"]);
    // An answer that was under way is to a question that nobody asks.
    members.discovered(&before, hosts([1, 2]));
    assert_eq!(names(&members, Standing::Serving), ["fixed"]);
}

#[tokio::test]
async fn two_discoveries_of_one_name_tell_their_backends_apart() {
    let fleet = fleet();
    let twice =
        "[[pool.discover]]\nname = \"ftp.test\"\nservers = [\"127.0.0.1:9\"]\nport = 2121\n";
    let members = members(&config(&format!("{DISCOVERED}{twice}")), &fleet);
    members.discovered(&question(&members), hosts([1]));
    let found = ["fixed", "127.0.9.1:21", "127.0.9.1:2121"];
    assert_eq!(names(&members, Standing::Serving), found);
}

const PAIR: &str = r#"
[[listener]]
address = "127.0.0.1:0"
[[pool]]
name = "files"
algorithm = "rr"
affinity = { timeout = "1h" }
health = { probe = "tcp", interval = "1h", warmup = "1h" }
[[pool.backend]]
address = "127.0.0.1:9"
name = "a"
[[pool.backend]]
address = "127.0.0.2:9"
name = "b"
"#;

#[tokio::test]
async fn what_did_not_change_lives_on_over_a_reload() {
    let fleet = fleet();
    let members = members(&config(PAIR), &fleet);
    let (pool, now) = (&members.parts.pool, Instant::now());
    let request = Request {
        client: ([192, 0, 2, 1], 40_000).into(),
        vip: ([127, 0, 0, 1], 21).into(),
        user: &[],
    };
    let pick = pool.pick(&request, &[], now).unwrap();
    let id = pick.target.id;
    let snapshot = pool.snapshot(now);
    let other = { snapshot.targets().iter() }
        .map(|target| target.id)
        .find(|other| *other != id)
        .unwrap();
    assert!(members.weigh(id, Some(5)) && members.stand(other, Standing::Draining));
    let check = members.inner().subscriptions[&id][0].check();
    for change in [
        ("rr", "wlc"),
        ("[[listener]]", "[timeouts]\nidle = \"6m\"\n[[listener]]"),
        ("\"a\"", "\"renamed\""),
        ("health", "slow_start = \"5s\"\nhealth"),
    ] {
        reconfigure(&members, &PAIR.replace(change.0, change.1));
        let snapshot = pool.snapshot(Instant::now());
        let target = snapshot.target(id).expect("it is the same one");
        assert_eq!((target.load.active(), target.weight), (1, 5), "{change:?}");
        let standing = snapshot.target(other).map(|target| target.standing);
        assert_eq!(standing, Some(Standing::Draining), "{change:?}");
        let again = pool.pick(&request, &[], Instant::now()).unwrap();
        assert_eq!(again.target.id, id, "affinity after {change:?}");
        assert_eq!(members.inner().subscriptions[&id][0].check(), check);
    }
    // What the configuration says anew goes before what was ordered.
    reconfigure(&members, &PAIR.replace("\"a\"", "\"a\"\nweight = 2"));
    let snapshot = pool.snapshot(Instant::now());
    assert_eq!(snapshot.target(id).map(|target| target.weight), Some(2));
}

#[tokio::test]
async fn a_check_that_changes_begins_with_what_is_known() {
    let fleet = fleet();
    let members = members(&config(PAIR), &fleet);
    let (pool, now) = (&members.parts.pool, Instant::now());
    let ids: Vec<_> = pool
        .snapshot(now)
        .targets()
        .iter()
        .map(|target| target.id)
        .collect();
    let check = |id| members.inner().subscriptions[&id][0].check();
    for (id, verdict) in ids.iter().zip([Verdict::Down, Verdict::Up]) {
        let _news = pool.report_check(*id, check(*id), Some(verdict), None, now);
    }
    let before: Vec<_> = ids.iter().map(|id| check(*id)).collect();
    reconfigure(
        &members,
        &PAIR.replace("interval = \"1h\"", "interval = \"2h\""),
    );
    let snapshot = pool.snapshot(Instant::now());
    for (index, state) in [Availability::Down, Availability::Up]
        .into_iter()
        .enumerate()
    {
        let id = ids[index];
        assert_ne!(check(id), before[index]);
        assert_eq!(snapshot.target(id).map(|target| target.state), Some(state));
    }
    // Another pool that checks the same address hears of it at once.
    let other = Members::new(members.config(), surrounding(), &fleet);
    let snapshot = other.parts.pool.snapshot(Instant::now());
    let states: Vec<_> = snapshot
        .targets()
        .iter()
        .map(|target| target.state)
        .collect();
    assert_eq!(states, [Availability::Down, Availability::Up]);
}

#[tokio::test]
async fn a_weight_that_a_check_reported_goes_with_the_check() {
    let fleet = fleet();
    let members = members(&config(PAIR), &fleet);
    let (pool, now) = (&members.parts.pool, Instant::now());
    let id = pool.snapshot(now).targets()[0].id;
    let check = members.inner().subscriptions[&id][0].check();
    let _news = pool.report_check(id, check, None, Some(9), now);
    let weight = || {
        pool.snapshot(Instant::now())
            .target(id)
            .map(|target| target.weight)
    };
    reconfigure(&members, &PAIR.replace("rr", "wrr"));
    assert_eq!(weight(), Some(9));
    reconfigure(
        &members,
        &PAIR.replace("health = {", "health = { rise = 5,"),
    );
    assert_eq!(weight(), Some(1));
}
