//! Asking name servers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
    ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::known::{Answer, Service};

/// Asks for one look at the records of a question.
#[derive(Clone)]
pub(super) struct Resolver {
    client: Arc<TokioResolver>,
    /// Where names of few labels are looked for.
    search: Vec<Name>,
    /// How many dots make a name be looked for as it is first.
    dots: usize,
    /// Whatever is not answered by then has failed.
    deadline: Instant,
}

impl Resolver {
    /// Asks `servers`, one after the other, or those of the host if there are none. Says why that can not be.
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Self, String> {
        let (config, mut options) = if servers.is_empty() {
            { read_system_conf() }.map_err(|error| format!("/etc/resolv.conf: {error}"))?
        } else {
            let servers = servers.iter().copied().map(name_server).collect();
            let mut options = ResolverOpts::default();
            options.timeout = TIMEOUT;
            (
                ResolverConfig::from_parts(None, Vec::new(), servers),
                options,
            )
        };
        options.cache_size = 0;
        options.num_concurrent_reqs = 1;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        options.use_hosts_file = ResolveHosts::Never;
        let (search, dots) = (config.search().to_vec(), options.ndots);
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider);
        let built = builder.with_options(options).build();
        Ok(Self {
            client: Arc::new(built.map_err(|error| error.to_string())?),
            search,
            dots,
            deadline: Instant::now() + LOOK,
        })
    }

    /// The A and the AAAA records of `host`.
    pub(super) async fn addresses(&self, host: &str) -> [Answer<IpAddr>; 2] {
        let ip = |data: &RData| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        };
        let (v4, v6) = tokio::join!(
            self.ask(host, RecordType::A, ip),
            self.ask(host, RecordType::AAAA, ip),
        );
        [v4, v6]
    }

    /// The same of many hosts, some at a time.
    pub(super) async fn addresses_of_all(
        &self,
        hosts: &[String],
    ) -> Vec<(String, [Answer<IpAddr>; 2])> {
        let mut answers = Vec::new();
        for hosts in hosts.chunks(AT_A_TIME) {
            let mut tasks = JoinSet::new();
            for host in hosts.iter().cloned() {
                let resolver = self.clone();
                tasks.spawn(async move { (resolver.addresses(&host).await, host) });
            }
            while let Some(joined) = tasks.join_next().await {
                answers.extend(joined.map(|(answer, host)| (host, answer)));
            }
        }
        answers
    }

    /// The SRV records of `name`.
    pub(super) async fn services(&self, name: &str) -> Answer<Service> {
        self.ask(name, RecordType::SRV, |data| {
            let RData::SRV(srv) = data else { return None };
            // The root stands for no service at all, and nobody listens on port 0.
            let is_one = !srv.target.is_root() && srv.port != 0;
            is_one.then(|| Service {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: srv.target.to_lowercase().to_string(),
            })
        })
        .await
    }

    /// Asks for `kind` of each name that `name` may stand for, until one has any. What could not be asked
    /// for might have been it, so the search ends there.
    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        record: impl Fn(&RData) -> Option<T>,
    ) -> Answer<T> {
        let names = match self.names(name) {
            Ok(names) => names,
            Err(error) => return Answer::Failed(error),
        };
        let mut none = Answer::None { ttl: None };
        for name in names {
            none = match timeout_at(self.deadline, self.client.lookup(name, kind)).await {
                Ok(Ok(lookup)) => {
                    let answers = lookup.answers();
                    let records: Vec<T> = answers
                        .iter()
                        .filter_map(|answer| record(&answer.data))
                        .collect();
                    let ttl = answers.iter().map(|answer| answer.ttl).min();
                    let ttl = Duration::from_secs(ttl.unwrap_or(0).into());
                    if !records.is_empty() {
                        return Answer::Records { records, ttl };
                    }
                    Answer::None { ttl: Some(ttl) }
                }
                Ok(Err(error)) => match none_by(&error) {
                    Some(none) => none,
                    None => return Answer::Failed(format!("{kind} records: {error}")),
                },
                Err(_) => {
                    let time = humantime::format_duration(LOOK);
                    return Answer::Failed(format!("{kind} records: no answer within {time}"));
                }
            };
        }
        none
    }

    /// The full names that `name` may stand for, in the order of resolv.conf(5).
    fn names(&self, name: &str) -> Result<Vec<Name>, String> {
        let mut itself =
            Name::from_str_relaxed(name).map_err(|error| format!("{name} is no name: {error}"))?;
        let is_full = itself.is_fqdn();
        itself.set_fqdn(false);
        // One that gets too long by its domain stands for nothing.
        let within = |domain| itself.clone().append_domain(domain).ok();
        let domains = if is_full { &[] } else { &*self.search };
        let mut names: Vec<Name> = domains.iter().filter_map(within).collect();
        let has_dots = name.matches('.').count() >= self.dots;
        let place = if has_dots { 0 } else { names.len() };
        names.insert(place, itself);
        for name in &mut names {
            name.set_fqdn(true);
        }
        Ok(names)
    }
}

/// The answer that there is nothing, if `error` is that: NXDOMAIN, or a name without such records.
fn none_by<T>(error: &NetError) -> Option<Answer<T>> {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else {
        return None;
    };
    let is_said = matches!(
        none.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    );
    let ttl = none.negative_ttl.map(|ttl| Duration::from_secs(ttl.into()));
    is_said.then_some(Answer::None { ttl })
}

/// By UDP, and by TCP what is too long for that.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// For one answer of a name server, before the next is asked; each is asked twice again. Name servers are
/// near.
const TIMEOUT: Duration = Duration::from_secs(2);

/// For everything that one look asks.
const LOOK: Duration = Duration::from_secs(20);

/// Hosts whose addresses are asked for at a time: name servers limit what one client asks of them.
const AT_A_TIME: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_looked_for_in_the_order_of_resolv_conf() {
        let mut resolver = Resolver::new(&[([127, 0, 0, 1], 9).into()]).unwrap();
        let names = |resolver: &Resolver, name: &str| -> Vec<String> {
            let names = resolver.names(name).unwrap();
            names.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            names(&resolver, "ftp"),
            ["ftp."],
            "servers have no search list"
        );
        resolver.search = ["ns.svc.cluster.local", "cluster.local"]
            .map(|domain| Name::from_ascii(domain).unwrap())
            .into();
        for (dots, name, order) in [
            (
                5,
                "ftp",
                ["ftp.ns.svc.cluster.local.", "ftp.cluster.local.", "ftp."],
            ),
            (
                5,
                "ftp.ns",
                [
                    "ftp.ns.ns.svc.cluster.local.",
                    "ftp.ns.cluster.local.",
                    "ftp.ns.",
                ],
            ),
            (
                1,
                "ftp.ns",
                [
                    "ftp.ns.",
                    "ftp.ns.ns.svc.cluster.local.",
                    "ftp.ns.cluster.local.",
                ],
            ),
        ] {
            resolver.dots = dots;
            assert_eq!(names(&resolver, name), order, "{name} with ndots:{dots}");
        }
        assert_eq!(
            names(&resolver, "ftp.ns."),
            ["ftp.ns."],
            "a full name is only itself"
        );
        assert_eq!(names(&resolver, "_ftp._tcp.x.y."), ["_ftp._tcp.x.y."]);
        let long = format!("{}x", "label123.".repeat(27));
        assert_eq!(names(&resolver, &long).len(), 1, "too long by any domain");
        assert!(resolver.names("a..b").is_err());
    }
}
