//! Checks of a real server, as ftplb's.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use super::grammar::{Grammar, check};
use super::section::{Section, user};
use super::tree::Directive;
use super::values;
use crate::config::import::ledger::{Id, Ledger};
use crate::config::import::service::{Check, Page, Probe, Script, Told};
use crate::config::problem::Mistake;

/// What a check has from the blocks around it.
pub(super) struct Around<'s, 'd> {
    pub(super) real_server: &'s Section<'d>,
    pub(super) virtual_server: &'s Section<'d>,
    /// There is a user for scripts that name none.
    pub(super) has_script_user: bool,
}

/// A checker while it is read.
struct Checker<'s, 'd> {
    id: Id,
    /// It and all that stands in it.
    all: Range<Id>,
    section: Section<'d>,
    around: &'s Around<'s, 'd>,
    /// keepalived's default of `retry`.
    retry: u64,
    /// keepalived's default of `delay_before_retry`.
    delay: Duration,
}

/// The checks in `block`, that of a real server. Its directives were judged.
pub(super) fn checks(
    block: &[Directive],
    around: &Around<'_, '_>,
    ledger: &mut Ledger,
) -> Vec<Check> {
    let mut checks = Vec::new();
    for directive in block.iter().filter(|directive| directive.block.is_some()) {
        let read = |grammar: &Grammar, retry, delay, ledger: &mut Ledger| Checker {
            id: directive.id,
            all: directive.all(),
            section: Section::read(directive.children(), grammar, ledger),
            around,
            retry,
            delay: Duration::from_secs(delay),
        };
        match directive.keyword.as_str() {
            "TCP_CHECK" | "PING_CHECK" => {
                let checker = read(&check::TCP_CHECK, 1, 1, ledger);
                checks.push(checker.check(Probe::Tcp, ledger));
            }
            "SMTP_CHECK" => {
                let checker = read(&check::SMTP_CHECK, 1, 1, ledger);
                checks.push(checker.check(Probe::Tcp, ledger));
            }
            "MISC_CHECK" => {
                let checker = read(&check::MISC_CHECK, 0, 1, ledger);
                checks.extend(checker.script(ledger));
            }
            "HTTP_GET" => {
                let checker = read(&check::HTTP_GET, 1, 3, ledger);
                checks.extend(checker.pages(ledger));
            }
            "SSL_GET" => {
                let checker = read(&check::HTTP_GET, 1, 3, ledger);
                for directive in ["url", "virtualhost", "fast_recovery"] {
                    for directive in checker.section.all(directive) {
                        ledger.not_applicable(directive.id, "of a page, which is not asked for");
                    }
                }
                checks.push(checker.check(Probe::Tcp, ledger));
            }
            _ => {}
        }
    }
    checks
}

impl Checker<'_, '_> {
    /// A page for each `url`.
    fn pages(&self, ledger: &mut Ledger) -> Vec<Check> {
        let urls: Vec<_> = self.section.all("url").collect();
        if urls.is_empty() {
            let why = "keepalived ignores it: there is no url in it";
            ledger.leave_aside(self.all.clone(), why);
        }
        let mut checks = Vec::new();
        for url in urls {
            let section = Section::read(url.children(), &check::URL, ledger);
            let Some(path) = section.word("path") else {
                ledger.leave_aside(url.all(), "keepalived ignores it: there is no path in it");
                continue;
            };
            let mut keys = vec![("url", path.map(text))];
            let around = [
                &self.section,
                self.around.real_server,
                self.around.virtual_server,
            ];
            let host = section
                .word("virtualhost")
                .or_else(|| around.iter().find_map(|around| around.word("virtualhost")));
            keys.extend(host.map(|host| ("host", host.map(text))));
            if let Some(status) = section.one("status_code") {
                let codes = status.arguments.join(",");
                keys.push(("status", Told::by(status.id, text(&codes))));
            }
            if let Some(digest) = section.word("digest") {
                keys.push(("digest", digest.map(text)));
            }
            keys.extend(regex(&section, ledger));
            checks.push(Check {
                by: url.id,
                ..self.check(Probe::Http(keys), ledger)
            });
        }
        checks
    }

    /// A program that is run.
    fn script(&self, ledger: &mut Ledger) -> Option<Check> {
        let Some(path) = self.section.one("misc_path") else {
            ledger.not_applicable(
                self.id,
                "keepalived ignores it: there is no misc_path in it",
            );
            return None;
        };
        let Some(mut script) = self.section.script("misc_path") else {
            ledger.leave_out();
            return None;
        };
        if path.arguments.len() > 1 {
            let what = "as in keepalived, only the first word is run: its arguments stand outside \
                        the quotes";
            ledger.differs(path.id, what);
        }
        script.value.run_as = self.section.one("user").and_then(|u| user(&u.arguments));
        note_user(&script, self.around.has_script_user, ledger);
        let dynamic = self.section.one("misc_dynamic").map(|d| d.id);
        let check = self.check(Probe::Script(script, dynamic), ledger);
        let timeout = self.section.count("misc_timeout");
        let timeout = timeout.filter(|timeout| timeout.value > 0);
        Some(Check {
            // keepalived takes that of the virtual server.
            timeout: match timeout {
                Some(timeout) => timeout.map(Duration::from_secs),
                None => match self.around.virtual_server.time("delay_loop") {
                    Some(interval) => interval,
                    None => Told::default(self.id, DELAY_LOOP),
                },
            },
            ..check
        })
    }

    /// The check with the times of keepalived, which are its own or those around it.
    fn check(&self, probe: Probe, ledger: &mut Ledger) -> Check {
        let interval = self.time("delay_loop", DELAY_LOOP);
        let own = self.section.count("retry");
        let retry = own
            .or_else(|| self.section.count("nb_get_retry"))
            .or_else(|| self.around.real_server.count("retry"))
            .or_else(|| self.around.virtual_server.count("retry"))
            .unwrap_or(Told::default(self.id, self.retry));
        let warmup = self.time("warmup", interval.value);
        let mut retry_interval = self.time("delay_before_retry", self.delay);
        if retry_interval.value.is_zero() {
            retry_interval.value = LEAST_INTERVAL;
            ledger.differs(retry_interval.by, "ftplb waits a millisecond");
        }
        Check {
            by: self.id,
            probe,
            address: self.address(ledger),
            timeout: self.time("connect_timeout", CONNECT_TIMEOUT),
            fall: retry.map(|retry| retry + 1),
            interval,
            retry_interval,
            warmup,
        }
    }

    fn time(&self, keyword: &str, default: Duration) -> Told<Duration> {
        let around = [
            &self.section,
            self.around.real_server,
            self.around.virtual_server,
        ];
        let told = around.iter().find_map(|section| section.time(keyword));
        told.unwrap_or(Told::default(self.id, default))
    }

    /// What is checked in place of the server's own address.
    fn address(&self, ledger: &mut Ledger) -> Option<Told<String>> {
        let port = self.section.count("connect_port");
        let ip = self.section.one("connect_ip");
        let ip = ip.and_then(|directive| match values::ip(directive.argument()) {
            Ok(ip) => Some(Told::by(directive.id, ip)),
            Err(mistake) => {
                ledger.mistake(directive.id, mistake);
                None
            }
        });
        match (ip, port) {
            (Some(ip), Some(port)) => Some(ip.map(|ip| {
                let port = u16::try_from(port.value).unwrap_or(u16::MAX);
                SocketAddr::new(ip, port).to_string()
            })),
            (Some(ip), None) => Some(ip.map(|ip| match ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            })),
            (None, Some(port)) => Some(port.map(|port| format!(":{port}"))),
            (None, None) => None,
        }
    }
}

/// Says as whom a script is run, if nobody says it.
pub(super) fn note_user(script: &Told<Script>, has_script_user: bool, ledger: &mut Ledger) {
    if script.value.run_as.is_none() && !has_script_user {
        let what = "run as ftplb's own user unless `scripts.run_as` is set, where keepalived takes \
                    keepalived_script or root";
        ledger.differs(script.by, what);
    }
}

/// The keys of a regular expression.
fn regex(section: &Section<'_>, ledger: &mut Ledger) -> Vec<(&'static str, Told<Page>)> {
    let Some(directive) = section.one("regex") else {
        for keyword in ["regex_no_match", "regex_options"] {
            for directive in section.all(keyword) {
                ledger.not_applicable(directive.id, "there is no regex");
            }
        }
        return Vec::new();
    };
    let words = super::text::shell_words(&directive.text, true).unwrap_or_default();
    let [_, pattern] = words.as_slice() else {
        let hint = "one expression, in quotes if there are blanks in it";
        let mistake = Mistake::new("is not one expression", hint);
        ledger.mistake(directive.id, mistake);
        return Vec::new();
    };
    let mut flags = String::new();
    if let Some(options) = section.one("regex_options") {
        for option in &options.arguments {
            match OPTIONS.iter().find(|(name, _)| name == option) {
                Some((_, flag)) => flags.push(*flag),
                None => ledger.differs(options.id, format!("{option} has no equal")),
            }
        }
    }
    let pattern = match flags.as_str() {
        "" => pattern.clone(),
        flags => format!("(?{flags}){pattern}"),
    };
    let mut keys = vec![("regex", Told::by(directive.id, Page::Text(pattern)))];
    if let Some(no_match) = section.one("regex_no_match") {
        let yes = Told::by(no_match.id, Page::Boolean(true));
        keys.push(("regex_no_match", yes));
    }
    keys
}

fn text(text: impl AsRef<str>) -> Page {
    Page::Text(text.as_ref().to_owned())
}

/// Options of PCRE, and the flags that mean the same here.
const OPTIONS: [(&str, char); 5] = [
    ("caseless", 'i'),
    ("dotall", 's'),
    ("extended", 'x'),
    ("multiline", 'm'),
    ("ungreedy", 'U'),
];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DELAY_LOOP: Duration = Duration::from_mins(1);

/// The least that ftplb waits from one check to the next.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);
