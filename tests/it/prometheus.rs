//! What Prometheus and Grafana get from ftplb: the rules and the dashboard in `deploy/`, checked by Prometheus'
//! own tools and evaluated by a Prometheus that scrapes ftplb after real traffic.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::clients::curl;
use crate::health::checked_by;
use crate::netns::Place;
use crate::process::{Process, SOON, eventually, own_ip, run};
use crate::proxy::{Proxy, Setup};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server};

/// Queries of the dashboard that have no answer after the traffic of this test: by panel, with the reason.
const SILENT: [(&str, &str); 2] = [
    ("Found by name", "no backend is found by DNS"),
    ("What is wrong with backends", "nothing is"),
];

#[test]
fn rules_and_their_tests_are_right() {
    for arguments in [
        &["check", "config", "deploy/prometheus/prometheus.yml"][..],
        &[
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            "deploy/prometheus/rules.yml",
        ],
        &["test", "rules", "deploy/prometheus/rules_test.yml"],
    ] {
        let mut command = Command::new("promtool");
        command.args(arguments).current_dir(root());
        run(&mut command, Duration::from_mins(2)).expect_success("promtool");
    }
}

#[test]
fn every_metric_that_a_rule_or_a_panel_asks_for_is_documented() {
    let page = read("docs/metrics.md");
    let documented: BTreeSet<&str> = { page.lines() }
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split('`').next())
        .collect();
    let rules = read("deploy/prometheus/rules.yml");
    let recorded: BTreeSet<&str> = values(&rules, "record").collect();
    let mut texts = vec![rules.clone()];
    texts.extend(dashboard_queries().into_iter().map(|query| query.text));
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut used = BTreeSet::new();
    for text in &texts {
        let words = text.split(|c| !is_of_name(c));
        let names = words.filter(|word| {
            let of_ours = word.contains("ftplb_") && *word != "ftplb_";
            of_ours || word.starts_with("process_")
        });
        for name in names.filter(|name| !recorded.contains(name)) {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            let family = family.unwrap_or(name);
            assert!(
                documented.contains(family),
                "{family} is not in docs/metrics.md"
            );
            used.insert(family.to_owned());
        }
    }
    assert!(used.len() > 30, "{used:?}");
}

#[test]
fn every_alert_is_tested_and_explained() {
    let (rules, tests) = (
        read("deploy/prometheus/rules.yml"),
        read("deploy/prometheus/rules_test.yml"),
    );
    let page = read("docs/monitoring.md");
    let alerts: Vec<&str> = values(&rules, "alert").collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        assert!(
            tests.contains(&format!("alertname=\"{alert}\"")),
            "{alert} has no test"
        );
        assert!(
            page.contains(&format!("| `{alert}` |")),
            "{alert} is not in docs/monitoring.md"
        );
    }
    let runbooks: BTreeSet<&str> = values(&rules, "runbook").collect();
    for runbook in runbooks {
        let (path, anchor) = runbook.split_once('#').unwrap_or((runbook, ""));
        let page = read(path);
        let mut headings = page.lines().filter(|line| line.starts_with('#')).map(slug);
        assert!(
            anchor.is_empty() || headings.any(|heading| heading == anchor),
            "{runbook}"
        );
    }
}

#[test]
fn the_panels_of_the_dashboard_are_complete_and_do_not_cover_each_other() {
    let dashboard = dashboard();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: the id is there twice"
        );
        let [x, y, wide, high] =
            ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + wide <= 24, "{title} is wider than the page");
        for place in (x..x + wide).flat_map(|x| (y..y + high).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{title} covers another panel");
        }
        if panel["type"] != "row" {
            let description = panel["description"].as_str().unwrap();
            assert!(
                description.ends_with('.') || description.ends_with(".)"),
                "{title}: {description}"
            );
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{title} has no unit"
            );
        }
    }
    // No gap either.
    let highest = taken.iter().map(|(_, y)| y).max().unwrap();
    assert_eq!(taken.len() as u64, (highest + 1) * 24);
}

#[test]
fn prometheus_answers_every_query_of_the_rules_and_the_dashboard() {
    let servers = [Server::start(Kind::Vsftpd), Server::start(Kind::Vsftpd)];
    let dead = Door::new().address();
    let health = checked_by("probe = \"greeting\"");
    let proxy = Setup::new(&[servers[0].address, servers[1].address, dead])
        .pool(&health)
        .start();
    proxy.wait_for_metric("ftplb_backend_up", &[], 2.0);
    let prometheus = Prometheus::of(&proxy);
    // A rate wants two samples: traffic before the first that it sees, and after it.
    for round in [1.0, 2.0] {
        have_traffic(&proxy, &servers);
        let sessions = round * SESSIONS;
        eventually("Prometheus has seen all sessions end", || {
            prometheus
                .value("sum(ftplb_sessions_total)")
                .is_some_and(|sum| sum >= sessions)
        });
    }
    check_metrics(&proxy);

    let silent: BTreeSet<&str> = SILENT.iter().map(|(panel, _)| *panel).collect();
    let (mut without, mut queries) = (BTreeSet::new(), 0);
    for query in dashboard_queries() {
        let numbers = prometheus.query(&query.text);
        queries += 1;
        if numbers.iter().all(|number| number.is_nan()) {
            without.insert(query.panel);
        }
    }
    assert!(queries > 60, "{queries}");
    let unexpected: Vec<&String> = without
        .iter()
        .filter(|panel| !silent.contains(panel.as_str()))
        .collect();
    assert!(unexpected.is_empty(), "no data: {unexpected:#?}");

    let answer = prometheus.ask("/api/v1/rules");
    let groups = answer["data"]["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert!(rules.len() > 25, "{answer}");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    // Rules that always have a value: what they are made of is there.
    for recorded in [
        "pool:ftplb_backends_usable:sum",
        "listener:ftplb_passive_ports_taken:ratio",
    ] {
        assert!(prometheus.value(recorded).is_some(), "{recorded}");
    }
    // What a template could not be filled with is told in its text.
    let alerts = prometheus.ask("/api/v1/alerts").to_string();
    assert!(alerts.contains("FtplbBackendDown"), "{alerts}");
    assert!(
        !alerts.contains("<error") && !alerts.contains("<no value>"),
        "{alerts}"
    );
}

/// How many sessions [`have_traffic`] has: an even number, so that each round is the same for both backends.
const SESSIONS: f64 = 8.0;

/// Something of everything: up, down, a list, a missing file, a wrong login, an upload that is reset, a port that
/// nobody connects to.
fn have_traffic(proxy: &Proxy, servers: &[Server; 2]) {
    for server in servers {
        server.put("down.bin", &[b'd'; 100_000]);
    }
    let url = |name: &str| format!("ftp://{}/pub/{name}", proxy.address);
    let curl = |options: &[&str], name: &str| {
        let mut command = curl(&Place::Host, options);
        command.arg("-o").arg("/dev/null").arg(url(name));
        run(&mut command, SOON).code()
    };
    assert_eq!(curl(&[], "down.bin"), 0);
    assert_eq!(curl(&["-P", "-"], "down.bin"), 0);
    assert_eq!(curl(&["-T", "Cargo.toml"], "up.bin"), 0);
    assert_eq!(curl(&[], ""), 0);
    assert_eq!(curl(&["-P", "-"], ""), 0);
    assert_eq!(curl(&[], "missing.bin"), 78);
    assert_eq!(curl(&["-u", "stranger:guess"], "down.bin"), 67);
    let mut client = Peer::log_in(proxy.address, &Place::Host);
    let mut data = Peer::connect(client.pasv());
    client.say("STOR cut.bin");
    client.reply(150);
    data.send([b'x'; 500]);
    eventually("500 bytes arrive", || {
        servers.iter().any(|server| server.size("cut.bin") == 500)
    });
    data.reset();
    client.reply(426);
    let _unused = client.pasv();
    client.say("QUIT");
    client.reply(221);
    for server in servers {
        server.put("cut.bin", b"");
    }
}

/// `promtool check metrics` has nothing to say.
fn check_metrics(proxy: &Proxy) {
    let folder = tempfile::tempdir().unwrap();
    let scrape = folder.path().join("scrape");
    fs::write(&scrape, proxy.get("/metrics").1).unwrap();
    let mut command = Command::new("promtool");
    command
        .args(["check", "metrics"])
        .stdin(fs::File::open(scrape).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = Process::start(&mut command)
        .finish(SOON)
        .expect_success("promtool check metrics");
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
}

/// A Prometheus that scrapes one ftplb every second, with the rules of `deploy/`.
struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _home: TempDir,
}

impl Prometheus {
    fn of(proxy: &Proxy) -> Self {
        let home = tempfile::tempdir().unwrap();
        let address = SocketAddr::new(own_ip().into(), 9090);
        let rules = root().join("deploy/prometheus/rules.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\n\
             scrape_configs: [{{job_name: ftplb, static_configs: [{{targets: ['{}']}}]}}]\n",
            rules.display(),
            proxy.admin,
        );
        fs::write(home.path().join("prometheus.yml"), config).unwrap();
        let log = fs::File::create(home.path().join("log")).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--web.listen-address={address}"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .current_dir(home.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut process = Process::start(&mut command);
        Place::Host.wait_for_port(address, || {
            let log = fs::read_to_string(home.path().join("log")).unwrap_or_default();
            assert!(
                process.ended().is_none(),
                "Prometheus ended at its start: {log}"
            );
        });
        let prometheus = Self {
            address,
            _process: process,
            _home: home,
        };
        eventually("Prometheus is ready", || {
            prometheus.get("/-/ready").0 == "200"
        });
        eventually("Prometheus scrapes ftplb", || {
            prometheus.value("up{job=\"ftplb\"}") == Some(1.0)
        });
        prometheus
    }

    /// The value of a query that has one.
    fn value(&self, query: &str) -> Option<f64> {
        self.query(query).first().copied()
    }

    /// The values that a query has.
    fn query(&self, query: &str) -> Vec<f64> {
        let escape = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        let escaped: String = query.bytes().map(escape).collect();
        let answer = self.ask(&format!("/api/v1/query?query={escaped}"));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        let values = series.iter().map(|one| one["value"][1].as_str().unwrap());
        values.map(|value| value.parse().unwrap()).collect()
    }

    /// An answer of its HTTP API.
    fn ask(&self, path: &str) -> Value {
        let (_, body) = self.get(path);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// The status and the body of a page.
    fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // Of version 1.0, so that the answer comes in one piece.
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().into(), body.into())
    }
}

/// A query of the dashboard, with its variables filled in.
struct Query {
    panel: String,
    text: String,
}

/// Every query of the dashboard: of panels, of annotations and of variables.
fn dashboard_queries() -> Vec<Query> {
    let dashboard = dashboard();
    let fill = |text: &str| {
        [
            ("$__rate_interval", "1m"),
            ("$__range", "1m"),
            ("$job", "ftplb"),
            ("$instance", ".*"),
            ("$pool", ".*"),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    };
    let mut queries = Vec::new();
    let mut add = |panel: &Value, text: &str| {
        let (panel, text) = (panel.as_str().unwrap().to_owned(), fill(text));
        assert!(!text.contains('$'), "{panel}: {text}");
        queries.push(Query { panel, text });
    };
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            add(&panel["title"], target["expr"].as_str().unwrap());
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        add(&annotation["name"], annotation["expr"].as_str().unwrap());
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let inner = query.strip_prefix("label_values(").unwrap();
            add(&variable["name"], inner.rsplit_once(',').unwrap().0);
        }
    }
    queries
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/dashboards/ftplb.json")).unwrap()
}

/// What stands behind `key:` in the lines of a YAML file.
fn values<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    let value = move |line: &'t str| {
        let line = line.trim_start().trim_start_matches("- ");
        line.strip_prefix(key)?.strip_prefix(": ")
    };
    text.lines().filter_map(value)
}

/// What a link to a heading says.
fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
