//! Directives at the top, of `global_defs`, of virtual servers and of real servers.

use super::check::TIMES;
use super::{Fate, Grammar, Row, Takes, differs, not, row, taken};
use crate::config::import::ipvs::{ALGORITHMS, LONGEST_PERSISTENCE};

/// Outside of blocks.
pub(in crate::config::keepalived) const TOP: Grammar = Grammar {
    rows: &[&[
        taken(
            "virtual_server",
            Takes::Head,
            "`[[listener]]` and `[[pool]]`, if it is FTP",
        ),
        taken(
            "virtual_server_group",
            Takes::Head,
            "a `[[listener]]` for each address that is FTP",
        ),
        row(
            "global_defs",
            Takes::Block,
            Fate::Not,
            "but for what is listed here, it is of VRRP, mail or keepalived's processes",
        ),
        not(
            "SSL",
            "certificates of SSL_GET: such a check is a TCP connection here",
        ),
        not("track_file", FILES),
        not("vrrp_track_file", FILES),
        not("bfd_instance", VRRP),
        not("vrrp_instance", VRRP),
        not("vrrp_sync_group", VRRP),
        not("vrrp_script", VRRP),
        not("vrrp_track_process", VRRP),
        not("garp_group", VRRP),
        not("track_group", VRRP),
        not("static_ipaddress", VRRP),
        not("static_routes", VRRP),
        not("static_rules", VRRP),
        not("linkbeat_interfaces", VRRP),
        not("linkbeat_use_polling", VRRP),
        not("interface_up_down_delays", VRRP),
        not("net_namespace", PROCESS),
        not("net_namespace_ipvs", PROCESS),
        not("namespace_with_ipsets", PROCESS),
        not("instance", PROCESS),
        not("use_pid_dir", PROCESS),
        not("child_wait_time", PROCESS),
    ]],
};

/// What of `global_defs` concerns virtual servers.
pub(in crate::config::keepalived) const GLOBAL_DEFS: Grammar = Grammar {
    rows: &[&[
        taken("script_user", Takes::Anything, "`scripts.run_as`"),
        taken(
            "checker_log_all_failures",
            Takes::Boolean,
            "`log.filter`: failed checks are logged at level debug",
        ),
        not(
            "enable_script_security",
            "ftplb runs a script as the user that is set, and does not judge who may write it",
        ),
        not(
            "lvs_timeouts",
            "the kernel's: ftplb has deadlines of its own for FTP, see `[timeouts]`",
        ),
        not("lvs_flush", KERNEL),
        not("lvs_flush_on_stop", KERNEL),
        not("lvs_flush_onstop", KERNEL),
        not(
            "lvs_sync_daemon",
            "connections can not be handed over; an algorithm such as `mh` gives clients the same server on every balancer",
        ),
        not(
            "lvs_notify_fifo",
            "ftplb has no FIFO: use `on_up` and `on_down`",
        ),
        not(
            "lvs_notify_fifo_script",
            "ftplb has no FIFO: use `on_up` and `on_down`",
        ),
        not("smtp_alert", MAIL),
        not("smtp_alert_checker", MAIL),
        not("no_checker_emails", MAIL),
        not("rs_init_notifies", "`on_up` is run when a backend comes up"),
        not("nftables_ipvs", KERNEL),
        not("snmp_vs_stats_update_interval", METRICS),
        not("snmp_rs_stats_update_interval", METRICS),
        not("enable_snmp_checker", METRICS),
    ]],
};

/// `virtual_server`.
pub(in crate::config::keepalived) const VIRTUAL_SERVER: Grammar = Grammar {
    rows: &[
        &[
            taken("lb_algo", Takes::Word(&ALGORITHMS), "`pool.algorithm`"),
            taken("lvs_sched", Takes::Word(&ALGORITHMS), "`pool.algorithm`"),
            taken("lb_kind", Takes::Word(&KINDS), FORWARDING),
            taken("lvs_method", Takes::Word(&KINDS), FORWARDING),
            taken(
                "sh-port",
                Takes::Anything,
                "`pool.hash_port`, behind `lb_algo sh`",
            ),
            taken(
                "mh-port",
                Takes::Anything,
                "`pool.hash_port`, behind `lb_algo mh`",
            ),
            taken(
                "sh-fallback",
                Takes::Anything,
                "ftplb always falls back to another backend",
            ),
            taken(
                "mh-fallback",
                Takes::Anything,
                "ftplb always falls back to another backend",
            ),
            taken(
                "flag-1",
                Takes::Anything,
                "of `sh` and `mh` it is their fallback",
            ),
            taken(
                "flag-2",
                Takes::Anything,
                "of `sh` and `mh` it is their port: `pool.hash_port`",
            ),
            not("flag-3", "no algorithm of ftplb knows it"),
            not("hashed", "keepalived makes nothing of it either"),
            not("ops", "one-packet scheduling is for UDP"),
            taken(
                "persistence_timeout",
                Takes::CountOrNothing(1..=LONGEST_PERSISTENCE),
                "`pool.affinity.timeout`; more than 7 days: with a difference",
            ),
            taken(
                "persistence_granularity",
                Takes::Text,
                "`pool.affinity.prefix_v4` or `prefix_v6`",
            ),
            not("persistence_engine", "it is for SIP"),
            taken(
                "protocol",
                Takes::Word(&PROTOCOLS),
                "`TCP`; a service without it is taken as TCP, with a difference; others are not FTP",
            ),
            not("ip_family", "the address behind the mark says it"),
            taken(
                "weight",
                Takes::Count(1..=65_535),
                "`pool.backend.weight` of servers without their own",
            ),
            taken("alpha", Takes::Anything, "`pool.alpha`"),
            taken("omega", Takes::Anything, "`pool.omega`"),
            taken(
                "quorum",
                Takes::Count(1..=4_294_967_295),
                "`pool.quorum.weight`; more than the weight of all servers: with a difference",
            ),
            taken(
                "hysteresis",
                Takes::Count(0..=4_294_967_295),
                "`pool.quorum.hysteresis`; the quorum or more: with a difference",
            ),
            taken("quorum_up", Takes::Script, "`pool.quorum.on_up`"),
            taken("quorum_down", Takes::Script, "`pool.quorum.on_down`"),
            taken(
                "sorry_server",
                Takes::Anything,
                "`pool.sorry`; one of the real servers: with a difference",
            ),
            not(
                "sorry_server_inhibit",
                "nothing is removed in ftplb, so nothing needs to be inhibited",
            ),
            taken("sorry_server_lvs_method", Takes::Word(&KINDS), FORWARDING),
            taken("real_server", Takes::Block, "`[[pool.backend]]`"),
            not(
                "ha_suspend",
                "ftplb checks whether or not the virtual IP is on this host",
            ),
            not("nat_mask", "older than the kernels that ftplb runs on"),
        ],
        OF_BOTH,
        TIMES,
    ],
};

/// `real_server`.
pub(in crate::config::keepalived) const REAL_SERVER: Grammar = Grammar {
    rows: &[
        &[
            taken("weight", Takes::Count(0..=65_535), "`pool.backend.weight`"),
            taken("lvs_method", Takes::Word(&KINDS), FORWARDING),
            taken(
                "uthreshold",
                Takes::Count(0..=4_294_967_295),
                "`pool.backend.max_sessions`",
            ),
            taken(
                "lthreshold",
                Takes::Count(0..=4_294_967_295),
                "`pool.backend.resume_sessions`, beside `uthreshold`",
            ),
            taken("notify_up", Takes::Script, "`pool.backend.on_up`"),
            taken("notify_down", Takes::Script, "`pool.backend.on_down`"),
            taken("alpha", Takes::Boolean, ALPHA),
            taken("HTTP_GET", Takes::Block, "a check `http` for each `url`"),
            differs(
                "SSL_GET",
                Takes::Block,
                "a check `tcp`: ftplb speaks no TLS in checks",
            ),
            taken("TCP_CHECK", Takes::Block, "a check `tcp`"),
            differs(
                "SMTP_CHECK",
                Takes::Block,
                "a check `tcp`: ftplb speaks no SMTP",
            ),
            taken("MISC_CHECK", Takes::Block, "a check `script`"),
            differs(
                "PING_CHECK",
                Takes::Block,
                "a check `tcp`: whoever answers a ping may still refuse FTP",
            ),
            row(
                "DNS_CHECK",
                Takes::Block,
                Fate::Not,
                "ftplb asks no DNS servers",
            ),
            row("UDP_CHECK", Takes::Block, Fate::Not, "ftplb sends no UDP"),
            row("BFD_CHECK", Takes::Block, Fate::Not, "ftplb speaks no BFD"),
            row(
                "FILE_CHECK",
                Takes::Block,
                Fate::Not,
                "ftplb watches no files; a check `script` can read one",
            ),
            not(
                "lb_kind",
                "keepalived does not know it here: it is `lvs_method`",
            ),
        ],
        OF_BOTH,
        TIMES,
    ],
};

/// In virtual servers and in real servers.
const OF_BOTH: &[Row] = &[
    differs(
        "inhibit_on_failure",
        Takes::Anything,
        "sessions of a backend that fails live on in any case: nothing is removed",
    ),
    taken("virtualhost", Takes::Text, "`health.host` of HTTP_GET"),
    not("snmp_name", METRICS),
    not("smtp_alert", MAIL),
];

const KINDS: [&str; 3] = ["NAT", "DR", "TUN"];

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

const VRRP: &str = "VRRP stays with keepalived";
const FILES: &str = "ftplb watches no files";
const PROCESS: &str = "of keepalived's own processes";
const KERNEL: &str = "nothing is set up in the kernel";
const MAIL: &str = "ftplb sends no mail: use `on_up` and `on_down`, or its metrics";
const METRICS: &str = "see ftplb's metrics";
pub(super) const ALPHA: &str = "`pool.alpha`, if all servers agree; else with a difference";
const FORWARDING: &str = "`NAT` needs nothing; `DR`, `TUN`: with a difference, replies pass through ftplb, and real servers need not have the virtual IP";
