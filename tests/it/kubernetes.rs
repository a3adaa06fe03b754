//! The manifests in `deploy/kubernetes`: valid for the Kubernetes API, and agreeing with themselves and with
//! what ftplb is told in them. No cluster is needed; docs/kubernetes.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::process::{Process, run};
use crate::prometheus::{read, root};
use crate::proxy::PROGRAM;

/// The version of Kubernetes whose schemas are asked: the oldest that the manifests are for.
const SCHEMAS: &str =
    "target/kubernetes/kubernetes_validate/kubernetes-json-schema/v1.30.0-local-strict";

/// How long a tool may take.
const LIMIT: Duration = Duration::from_mins(1);

/// The ways to run it, with the kind of workload of each.
const WAYS: [(&str, &str); 3] = [
    ("host-network", "DaemonSet"),
    ("second-address", "Deployment"),
    ("short-range", "Deployment"),
];

#[test]
fn the_objects_of_each_way_agree_with_each_other() {
    for (way, kind) in WAYS {
        let objects = built(way);
        let pod = &of_kind(&objects, kind)["spec"]["template"];
        let config = config_of(&objects);
        let container = &pod["spec"]["containers"][0];
        // What selects, selects these pods.
        let labels = &pod["metadata"]["labels"];
        for (kind, name, selector) in [
            (kind, "ftplb", "/spec/selector/matchLabels"),
            ("PodDisruptionBudget", "ftplb", "/spec/selector/matchLabels"),
            ("Service", "ftplb-metrics", "/spec/selector"),
        ] {
            assert_eq!(
                named(&objects, kind, name).pointer(selector).unwrap(),
                labels,
                "{way}: {kind}"
            );
        }
        // The pool is found where its Service is: that of the second address is the same.
        let host = config["pool"][0]["discover"][0]["name"].as_str().unwrap();
        assert_eq!(host, "ftp-servers.ftp.svc.cluster.local", "{way}");
        let services = objects
            .iter()
            .filter(|one| one["metadata"]["name"] == "ftp-servers");
        let namespaces: Vec<&Value> = services.map(|one| &one["metadata"]["namespace"]).collect();
        assert!(
            namespaces.iter().all(|namespace| *namespace == "ftp"),
            "{way}: {namespaces:?}"
        );
        assert_eq!(namespaces.is_empty(), way == "second-address", "{way}");
        // Transfers may end before the pod is killed.
        let drain = config["timeouts"]["drain"]
            .as_str()
            .unwrap()
            .strip_suffix('m')
            .unwrap();
        let drain = drain.parse::<u64>().unwrap() * 60;
        let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            .as_u64()
            .unwrap_or(0);
        let grace = pod["spec"]["terminationGracePeriodSeconds"]
            .as_u64()
            .unwrap();
        assert!(
            grace > drain + pause,
            "{way}: {grace} s for {drain} s and {pause} s"
        );
        // Probes and Prometheus ask where ftplb answers.
        let ports = container["ports"].as_array().unwrap();
        let metrics = ports.iter().find(|port| port["name"] == "metrics").unwrap();
        let admin = config["admin"]["address"].as_str().unwrap();
        assert_eq!(
            admin,
            format!("0.0.0.0:{}", metrics["containerPort"]),
            "{way}"
        );
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{way}: {probe}");
        }
        assert_eq!(
            pod["spec"]["securityContext"]["runAsNonRoot"], true,
            "{way}"
        );
        let rights = serde_json::json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        });
        assert_eq!(container["securityContext"], rights, "{way}");
    }
}

#[test]
fn what_ftplb_is_told_in_a_config_map_is_right() {
    for (way, _) in WAYS {
        let path = root()
            .join("deploy/kubernetes")
            .join(way)
            .join("ftplb.toml");
        let done = run(Command::new(PROGRAM).args(["check", "-c"]).arg(path), LIMIT)
            .expect_success("ftplb check");
        assert!(!done.stderr.contains("warning"), "{way}: {}", done.stderr);
    }
}

#[test]
fn a_service_passes_on_the_ports_that_ftplb_promises_and_no_others() {
    let mut addresses = BTreeSet::new();
    for way in ["second-address", "short-range"] {
        let objects = built(way);
        let config = config_of(&objects);
        let range = config["listener"][0]["passive_ports"].as_str().unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let expected: BTreeSet<u64> = (first..=last).chain([21]).collect();
        let service = &named(&objects, "Service", "ftplb")["spec"];
        let ports = service["ports"].as_array().unwrap();
        let passed: BTreeSet<u64> = ports
            .iter()
            .map(|port| port["port"].as_u64().unwrap())
            .collect();
        assert_eq!(passed, expected);
        assert_eq!(service["externalTrafficPolicy"], "Local");
        assert_eq!(
            service["loadBalancerIP"],
            config["listener"][0]["advertise"].as_str().unwrap()
        );
        let policy = &of_kind(&objects, "NetworkPolicy")["spec"]["ingress"][0]["ports"];
        assert_eq!(policy[1]["port"], first);
        assert_eq!(policy[1]["endPort"], last);
        // A second one would be sent the data connections of the first.
        assert_eq!(of_kind(&objects, "Deployment")["spec"]["replicas"], 1);
        addresses.insert(service["loadBalancerIP"].to_string());
    }
    assert_eq!(addresses.len(), 2, "each has its own");
}

#[test]
fn the_rules_of_the_operator_are_those_of_prometheus() {
    let path = "deploy/kubernetes/monitoring/prometheusrule.yaml";
    let (rules, there) = (read("deploy/prometheus/rules.yml"), read(path));
    let (_, groups) = rules.split_once("\ngroups:\n").unwrap();
    let (head, _) = there.split_once("\n  groups:\n").unwrap();
    let indent = |line: &str| {
        if line.is_empty() {
            "\n".into()
        } else {
            format!("  {line}\n")
        }
    };
    let groups: String = groups.lines().map(indent).collect();
    let expected = format!("{head}\n  groups:\n{groups}");
    if std::env::var_os("FTPLB_WRITE").is_some() {
        fs::write(root().join(path), &expected).unwrap();
    }
    assert!(
        there == expected,
        "{path} is not deploy/prometheus/rules.yml: FTPLB_WRITE=1 with this test writes it"
    );
    let monitoring = built("monitoring");
    let monitor = of_kind(&monitoring, "ServiceMonitor");
    let objects = built("host-network");
    let labels = &named(&objects, "Service", "ftplb-metrics")["metadata"]["labels"];
    assert_eq!(&monitor["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(
        labels[monitor["spec"]["jobLabel"].as_str().unwrap()],
        "ftplb"
    );
}

/// The objects that kustomize makes of a folder, valid for the API.
fn built(folder: &str) -> Vec<Value> {
    let mut command = Command::new("kubectl");
    command
        .args(["kustomize", &format!("deploy/kubernetes/{folder}")])
        .current_dir(root());
    let yaml = run(&mut command, LIMIT)
        .expect_success("kubectl kustomize")
        .stdout;
    let home = tempfile::tempdir().unwrap();
    let path: PathBuf = home.path().join("objects.yaml");
    fs::write(&path, yaml).unwrap();
    let mut command = Command::new("/usr/bin/python3");
    command
        .args(["tests/it/manifests.py", SCHEMAS])
        .current_dir(root())
        .stdin(fs::File::open(path).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = Process::start(&mut command)
        .finish(LIMIT)
        .expect_success(folder);
    let objects: Vec<Value> = serde_json::from_str(&done.stdout).unwrap();
    assert!(!objects.is_empty(), "{folder}");
    objects
}

/// The only object of this kind.
fn of_kind<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    let mut found = objects.iter().filter(|one| one["kind"] == kind);
    let only = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    only
}

fn named<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    let is_it = |one: &&Value| one["kind"] == kind && one["metadata"]["name"] == name;
    { objects.iter() }
        .find(is_it)
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// What ftplb reads, from the `ConfigMap`.
fn config_of(objects: &[Value]) -> toml::Table {
    let text = of_kind(objects, "ConfigMap")["data"]["ftplb.toml"]
        .as_str()
        .unwrap();
    text.parse().unwrap()
}
