//! Directives of checks.

use super::server::ALPHA;
use super::{Fate, Grammar, Row, Takes, differs, not, row, taken};

/// `TCP_CHECK` and `PING_CHECK`.
pub(in crate::config::keepalived) const TCP_CHECK: Grammar = Grammar {
    rows: &[TIMES, OF_CHECKS, CONNECTION],
};

/// `MISC_CHECK`.
pub(in crate::config::keepalived) const MISC_CHECK: Grammar = Grammar {
    rows: &[
        &[
            taken("misc_path", Takes::Script, "`health.command`"),
            taken(
                "misc_timeout",
                Takes::Count(0..=4_294),
                "`health.timeout`; left out or 0, it is `delay_loop`",
            ),
            taken("misc_dynamic", Takes::Anything, "`health.dynamic_weight`"),
            taken("user", Takes::Anything, "`health.run_as`"),
            not(
                "connect_timeout",
                "keepalived does not know it here: it is `misc_timeout`",
            ),
        ],
        DELAYS,
        OF_CHECKS,
    ],
};

/// `HTTP_GET` and `SSL_GET`.
pub(in crate::config::keepalived) const HTTP_GET: Grammar = Grammar {
    rows: &[
        &[
            taken("url", Takes::Block, "a check of its own"),
            taken(
                "nb_get_retry",
                Takes::Count(0..=MOST_RETRIES),
                "the same as `retry`",
            ),
            taken("virtualhost", Takes::Text, "`health.host`"),
            taken(
                "fast_recovery",
                Takes::Boolean,
                "no url waits for another here",
            ),
            not("http_protocol", "ftplb chooses the version of HTTP"),
            not("enable_sni", "of TLS, which checks do not speak"),
            not("sni_name", "of TLS, which checks do not speak"),
            not("tls_compliant", "of TLS, which checks do not speak"),
        ],
        TIMES,
        OF_CHECKS,
        CONNECTION,
    ],
};

/// `url` in `HTTP_GET`.
pub(in crate::config::keepalived) const URL: Grammar = Grammar {
    rows: &[&[
        taken("path", Takes::Text, "`health.url`"),
        taken("digest", Takes::Text, "`health.digest`"),
        taken("status_code", Takes::Anything, "`health.status`"),
        taken("virtualhost", Takes::Text, "`health.host`"),
        taken(
            "regex",
            Takes::Anything,
            "`health.regex`; look-around and back references are mistakes",
        ),
        taken("regex_no_match", Takes::Anything, "`health.regex_no_match`"),
        taken(
            "regex_options",
            Takes::Anything,
            "`caseless`, `dotall`, `extended`, `multiline`, `ungreedy`; others: with a difference",
        ),
        not("regex_min_offset", "the whole page is searched"),
        not("regex_max_offset", "the whole page is searched"),
        not("regex_stack", "ftplb's expressions need no stack"),
        not("tls_compliant", "of TLS, which checks do not speak"),
        not("connect_timeout", MISPLACED),
        not("retry", MISPLACED),
        not("delay_before_retry", MISPLACED),
    ]],
};

/// `SMTP_CHECK`.
pub(in crate::config::keepalived) const SMTP_CHECK: Grammar = Grammar {
    rows: &[
        &[
            not("helo_name", "ftplb speaks no SMTP"),
            row(
                "host",
                Takes::Block,
                Fate::Not,
                "ftplb speaks no SMTP: the server itself is checked",
            ),
        ],
        TIMES,
        OF_CHECKS,
        CONNECTION,
    ],
};

/// Directives that real servers have from virtual servers, and checks from real servers.
pub(super) const TIMES: &[Row] = &[
    taken(
        "delay_loop",
        Takes::Time(MILLISECOND..=DAY),
        "`health.interval`; default 60 s",
    ),
    taken(
        "retry",
        Takes::Count(0..=MOST_RETRIES),
        "`health.fall`, which is one more; default 1, of MISC_CHECK 0",
    ),
    taken(
        "delay_before_retry",
        Takes::Time(0..=DAY),
        "`health.retry_interval`; default 1 s, of HTTP_GET and SSL_GET 3 s; 0: with a difference",
    ),
    taken(
        "warmup",
        Takes::Time(0..=DAY),
        "`health.warmup`; default `delay_loop`",
    ),
    taken(
        "connect_timeout",
        Takes::Time(MILLISECOND..=DAY),
        "`health.timeout`; default 5 s",
    ),
];

/// The same where no connection is made.
const DELAYS: &[Row] = &[
    taken(
        "delay_loop",
        Takes::Time(MILLISECOND..=DAY),
        "`health.interval`; default 60 s",
    ),
    taken(
        "retry",
        Takes::Count(0..=MOST_RETRIES),
        "`health.fall`, which is one more; default 0",
    ),
    taken(
        "delay_before_retry",
        Takes::Time(0..=DAY),
        "`health.retry_interval`; default 1 s; 0: with a difference",
    ),
    taken(
        "warmup",
        Takes::Time(0..=DAY),
        "`health.warmup`; default `delay_loop`",
    ),
];

/// In every check.
const OF_CHECKS: &[Row] = &[
    taken("alpha", Takes::Boolean, ALPHA),
    differs(
        "log_all_failures",
        Takes::Boolean,
        "failed checks are logged at level debug, of all backends or of none: `log.filter = \"info,ftplb::ops=debug\"`",
    ),
];

/// In checks that connect.
const CONNECTION: &[Row] = &[
    taken("connect_ip", Takes::Text, "`health.address`"),
    taken("connect_port", Takes::Count(1..=65_535), "`health.address`"),
    differs(
        "bindto",
        Takes::Text,
        "checks come from where sessions come from: `pool.source`",
    ),
    not(
        "bind_if",
        "checks come from where sessions come from: `pool.source`",
    ),
    not("bind_port", "the kernel chooses the port"),
    not("fwmark", "ftplb marks no packets"),
];

/// One more is what ftplb counts at most.
const MOST_RETRIES: u64 = 999;

const MILLISECOND: u64 = 1_000;
const DAY: u64 = 24 * 60 * 60 * 1_000_000;

const MISPLACED: &str = "keepalived does not know it here: it stands beside `url`";
