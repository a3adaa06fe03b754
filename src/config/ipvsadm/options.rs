//! The options of `ipvsadm`, as they are spelled.

/// What an option says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Name {
    Command(Command),
    Fwmark,
    Ipv6,
    Kind(&'static str),
    LowerThreshold,
    Netmask,
    /// It changes only what is printed.
    Output,
    OnePacket,
    PersistenceEngine,
    Persistent,
    SchedulerFlags,
    Scheduler,
    Sctp,
    Server,
    Tcp,
    /// Of tunnels.
    Tunnel,
    Udp,
    UpperThreshold,
    Weight,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Command {
    AddServer,
    AddService,
    Clear,
    DeleteServer,
    DeleteService,
    EditServer,
    EditService,
    /// Nothing to the rules: lists, counters, the sync daemon, timeouts.
    Other,
}

/// Whether a value stands behind an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Value {
    None,
    One,
    /// One, unless an option follows.
    Optional,
    /// As many as there are.
    Several,
}

/// An option: its letter, its word, and whether a value stands behind it.
pub(super) struct Spelling {
    pub(super) letter: Option<char>,
    pub(super) word: &'static str,
    pub(super) name: Name,
    pub(super) value: Value,
}

const fn option(letter: Option<char>, word: &'static str, name: Name, value: Value) -> Spelling {
    Spelling {
        letter,
        word,
        name,
        value,
    }
}

const fn command(letter: Option<char>, word: &'static str, command: Command) -> Spelling {
    option(letter, word, Name::Command(command), Value::None)
}

/// All of 1.26 and of 1.31.
pub(super) const OPTIONS: &[Spelling] = &[
    command(Some('A'), "add-service", Command::AddService),
    command(Some('E'), "edit-service", Command::EditService),
    command(Some('D'), "delete-service", Command::DeleteService),
    command(Some('C'), "clear", Command::Clear),
    command(Some('a'), "add-server", Command::AddServer),
    command(Some('e'), "edit-server", Command::EditServer),
    command(Some('d'), "delete-server", Command::DeleteServer),
    command(Some('R'), "restore", Command::Other),
    command(Some('S'), "save", Command::Other),
    command(Some('L'), "list", Command::Other),
    command(Some('l'), "list", Command::Other),
    command(Some('Z'), "zero", Command::Other),
    command(Some('h'), "help", Command::Other),
    option(None, "set", Name::Command(Command::Other), Value::Several),
    option(
        None,
        "start-daemon",
        Name::Command(Command::Other),
        Value::Several,
    ),
    option(
        None,
        "stop-daemon",
        Name::Command(Command::Other),
        Value::Several,
    ),
    option(None, "mcast-interface", Name::Output, Value::One),
    option(None, "syncid", Name::Output, Value::One),
    option(Some('t'), "tcp-service", Name::Tcp, Value::One),
    option(Some('u'), "udp-service", Name::Udp, Value::One),
    option(None, "sctp-service", Name::Sctp, Value::One),
    option(Some('f'), "fwmark-service", Name::Fwmark, Value::One),
    option(Some('6'), "ipv6", Name::Ipv6, Value::None),
    option(Some('s'), "scheduler", Name::Scheduler, Value::One),
    option(Some('b'), "sched-flags", Name::SchedulerFlags, Value::One),
    option(Some('p'), "persistent", Name::Persistent, Value::Optional),
    option(Some('M'), "netmask", Name::Netmask, Value::One),
    option(None, "pe", Name::PersistenceEngine, Value::One),
    option(Some('O'), "ops", Name::OnePacket, Value::None),
    option(Some('o'), "ops", Name::OnePacket, Value::None),
    option(Some('r'), "real-server", Name::Server, Value::One),
    option(Some('m'), "masquerading", Name::Kind("NAT"), Value::None),
    option(Some('i'), "ipip", Name::Kind("TUN"), Value::None),
    option(Some('g'), "gatewaying", Name::Kind("DR"), Value::None),
    option(Some('w'), "weight", Name::Weight, Value::One),
    option(Some('x'), "u-threshold", Name::UpperThreshold, Value::One),
    option(Some('y'), "l-threshold", Name::LowerThreshold, Value::One),
    option(None, "tun-info", Name::Output, Value::None),
    option(None, "tun-type", Name::Tunnel, Value::One),
    option(None, "tun-port", Name::Tunnel, Value::One),
    option(None, "tun-nocsum", Name::Tunnel, Value::None),
    option(None, "tun-csum", Name::Tunnel, Value::None),
    option(None, "tun-remcsum", Name::Tunnel, Value::None),
    option(Some('n'), "numeric", Name::Output, Value::None),
    option(Some('c'), "connection", Name::Output, Value::None),
    option(None, "exact", Name::Output, Value::None),
];
