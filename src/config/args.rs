//! A configuration from a few flags or environment variables: one pool, and everything else by default.
//!
//! The flags become a document like that of a file, so that the same checks judge both; a mistake is
//! reported with the name of its flag. How flags are taken from the command line is not known here.

use super::check::{Checked, Surroundings, check_document};
use super::file::{Document, Entry, Node, Spot, Value};
use super::problem::Problem;

/// What flags or environment variables say, as written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Args {
    /// `--listen`: where clients connect, `IP:PORT` or `IP`. Each text may hold several, separated by
    /// spaces or commas.
    pub listen: Vec<String>,
    /// `--backend`: `IP:PORT` or `IP`, with `,weight=N` and `,name=TEXT` behind it if need be. Each
    /// text may hold several, separated by spaces or commas.
    pub backend: Vec<String>,
    /// `--algorithm`: how a backend is picked.
    pub algorithm: Option<String>,
    /// `--passive-ports`: of every listener.
    pub passive_ports: Option<String>,
    /// `--advertise`: of every listener.
    pub advertise: Option<String>,
    /// `--admin`: where metrics and health are served; nowhere unless set.
    pub admin: Option<String>,
    /// `--api`: where orders are taken; nowhere unless set.
    pub api: Option<String>,
    /// `--user`: whom ftplb becomes, if it is started as root.
    pub user: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
    /// `--log-filter`
    pub log_filter: Option<String>,
    /// `--log-file`
    pub log_file: Option<String>,
}

impl Args {
    /// The configuration that the flags stand for.
    ///
    /// # Errors
    /// Every mistake, and the warnings with them.
    pub fn check(&self, surroundings: &Surroundings) -> Result<Checked, Vec<Problem>> {
        check_document(&self.document(), surroundings)
    }

    fn document(&self) -> Document {
        let listeners = list(&self.listen).into_iter().map(|address| {
            let entries = [
                Some(Entry::new(
                    "address",
                    Node::text(Spot::Flag(LISTEN), address),
                )),
                text(
                    "passive_ports",
                    "--passive-ports",
                    self.passive_ports.as_deref(),
                ),
                text("advertise", "--advertise", self.advertise.as_deref()),
            ];
            table(Spot::Flag(LISTEN), entries)
        });
        let pool = [
            text("algorithm", "--algorithm", self.algorithm.as_deref()),
            Some(Entry::new(
                "backend",
                nodes(BACKEND, backends(&self.backend)),
            )),
        ];
        let log = [
            text("format", "--log-format", self.log_format.as_deref()),
            text("filter", "--log-filter", self.log_filter.as_deref()),
            text("file", "--log-file", self.log_file.as_deref()),
        ];
        let mut entries = vec![
            Entry::new("listener", nodes(LISTEN, listeners.collect())),
            Entry::new(
                "pool",
                nodes(BACKEND, vec![table(Spot::Flag(BACKEND), pool)]),
            ),
            Entry::new("log", table(Spot::Nowhere, log)),
        ];
        if let Some(user) = text("user", "--user", self.user.as_deref()) {
            let table = table(user.spot, [Some(user)]);
            entries.push(Entry::new("process", table));
        }
        entries.extend(self.admin());
        Document::from_flags(entries)
    }

    /// The table `admin`, if any flag is about it. An API by itself does not bring the metrics with it.
    fn admin(&self) -> Option<Entry> {
        let api = text("api", "--api", self.api.as_deref());
        let address = text("address", "--admin", self.admin.as_deref()).or_else(|| {
            let spot = api.as_ref()?.spot;
            let value = Value::Boolean(false);
            Some(Entry::new("address", Node { spot, value }))
        })?;
        Some(Entry::new(
            "admin",
            table(address.spot, [Some(address), api]),
        ))
    }
}

/// The key that a flag stands for, if the flag is given.
fn text(name: &str, flag: &'static str, text: Option<&str>) -> Option<Entry> {
    Some(Entry::new(name, Node::text(Spot::Flag(flag), text?)))
}

/// The tables of the backends. An option such as `weight=2` belongs to the address before it.
fn backends(texts: &[String]) -> Vec<Node> {
    let spot = Spot::Flag(BACKEND);
    let mut backends: Vec<Vec<Entry>> = Vec::new();
    for item in list(texts) {
        match (item.split_once('='), backends.last_mut()) {
            (Some((name, value)), Some(backend)) => {
                let value = value
                    .parse()
                    .map_or_else(|_| Value::Text(value.to_owned()), Value::Integer);
                backend.push(Entry::new(name, Node { spot, value }));
            }
            // An option without an address before it is reported as the wrong address that it is.
            _ => backends.push(vec![Entry::new("address", Node::text(spot, item))]),
        }
    }
    backends
        .into_iter()
        .map(|entries| Node {
            spot,
            value: Value::Table(entries),
        })
        .collect()
}

/// The items of texts that are separated by spaces, line breaks or commas, as environment variables are.
fn list(texts: &[String]) -> Vec<&str> {
    let separator = |c: char| c == ',' || c.is_whitespace();
    texts
        .iter()
        .flat_map(|text| text.split(separator))
        .filter(|item| !item.is_empty())
        .collect()
}

fn nodes(flag: &'static str, nodes: Vec<Node>) -> Node {
    Node {
        spot: Spot::Flag(flag),
        value: Value::List(nodes),
    }
}

fn table(spot: Spot, entries: impl IntoIterator<Item = Option<Entry>>) -> Node {
    Node {
        spot,
        value: Value::Table(entries.into_iter().flatten().collect()),
    }
}

const LISTEN: &str = "--listen";
const BACKEND: &str = "--backend";

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn args(listen: &[&str], backend: &[&str]) -> Args {
        Args {
            listen: texts(listen),
            backend: texts(backend),
            ..Args::default()
        }
    }

    fn problems(args: &Args) -> Vec<String> {
        let result = args.check(&Surroundings::default());
        result
            .expect_err("a mistake")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn flags_are_as_good_as_a_file() {
        let toml = r#"
            [[listener]]
            address = "0.0.0.0:21"
            passive_ports = "10000-10100"
            advertise = "203.0.113.10"
            [[listener]]
            address = "[::]:2121"
            passive_ports = "10000-10100"
            advertise = "203.0.113.10"
            [[pool]]
            algorithm = "lc"
            [[pool.backend]]
            address = "10.0.0.11"
            weight = 2
            [[pool.backend]]
            address = "10.0.0.12:2121"
            name = "b"
            [admin]
            address = "127.0.0.1:9000"
            api = "/run/api.sock"
            [log]
            format = "json"
            filter = "debug"
            file = "/var/log/ftplb.log"
            [process]
            user = "ftplb:adm"
        "#;
        let file = super::super::check::check(toml, "", &Surroundings::default()).unwrap();
        for (listen, backend) in [
            (
                &["0.0.0.0", "[::]:2121"][..],
                &["10.0.0.11,weight=2", "10.0.0.12:2121,name=b"][..],
            ),
            (
                &["0.0.0.0:21 [::]:2121"],
                &["10.0.0.11:21,weight=2,10.0.0.12:2121,name=b\n"],
            ),
            (
                &["0.0.0.0, [::]:2121"],
                &["10.0.0.11, weight=2, 10.0.0.12:2121, name=b"],
            ),
        ] {
            let flags = Args {
                passive_ports: Some("10000-10100".to_owned()),
                advertise: Some("203.0.113.10".to_owned()),
                algorithm: Some("lc".to_owned()),
                admin: Some("127.0.0.1:9000".to_owned()),
                api: Some("/run/api.sock".to_owned()),
                user: Some("ftplb:adm".to_owned()),
                log_format: Some("json".to_owned()),
                log_filter: Some("debug".to_owned()),
                log_file: Some("/var/log/ftplb.log".to_owned()),
                ..args(listen, backend)
            };
            assert_eq!(
                flags.check(&Surroundings::default()).unwrap(),
                file,
                "{listen:?}"
            );
        }
    }

    #[test]
    fn an_api_does_not_bring_the_metrics_with_it() {
        let flags = |admin: Option<&str>, api: Option<&str>| Args {
            admin: admin.map(str::to_owned),
            api: api.map(str::to_owned),
            ..args(&["0.0.0.0"], &["10.0.0.1"])
        };
        let of = |args: &Args| {
            let checked = args.check(&Surroundings::default()).unwrap();
            let admin = checked.config.admin;
            (admin.address.is_some(), admin.api.is_some())
        };
        assert_eq!(of(&flags(None, None)), (false, false));
        assert_eq!(of(&flags(None, Some("/run/api.sock"))), (false, true));
        assert_eq!(of(&flags(Some("127.0.0.1"), None)), (true, false));
        let wrong = flags(Some("127.0.0.1"), Some("api.sock"));
        let found = problems(&wrong);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("--api: \"api.sock\" is no address"),
            "{found:?}"
        );
    }

    #[test]
    fn without_flags_the_two_that_are_needed_are_named() {
        let found = problems(&Args::default());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("--backend: the pool \"default\" has no backend"),
            "{found:?}"
        );
        assert!(
            found[1].starts_with("--listen: there is no listener"),
            "{found:?}"
        );
    }

    #[test]
    fn every_mistake_is_reported_by_its_flag() {
        let wrong = Args {
            passive_ports: Some("20-10".to_owned()),
            log_format: Some("xml".to_owned()),
            ..args(
                &["localhost", "0.0.0.0:2121"],
                &["weight=1", "10.0.0.1,wieght=2,weight=x"],
            )
        };
        let found = problems(&wrong);
        let starts = [
            "--backend: \"weight=1\" is no address\n    hint: names are not looked up",
            "--backend: \"x\" is no whole number\n    hint: a whole number from 0 to 65535",
            "--backend: there is no such key\n    hint: did you mean `weight`?",
            "--listen: \"localhost\" is no address\n    hint: names are not looked up",
            "--log-format: \"xml\" is not known here\n    hint: one of \"text\", \"json\"",
            "--passive-ports: \"20-10\" ends before it begins\n    hint: write \"10-20\"",
        ];
        for start in starts {
            assert!(
                found.iter().any(|problem| problem.starts_with(start)),
                "{start}: {found:#?}"
            );
        }
        assert_eq!(found.len(), starts.len(), "{found:#?}");
    }

    #[test]
    fn a_default_is_reported_by_its_key() {
        let surroundings = Surroundings {
            descriptors: Some(1_024),
            ..Surroundings::default()
        };
        let checked = args(&["0.0.0.0"], &["10.0.0.1"])
            .check(&surroundings)
            .unwrap();
        let warning = checked.warnings.first().expect("a warning").to_string();
        assert!(
            warning.starts_with("warning: limits.sessions: 2000 sessions, each"),
            "{warning}"
        );
    }
}
