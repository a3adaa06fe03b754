//! Why a client gets no session.

/// What keeps a client from beginning a session. A label of metrics and logs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// As many sessions as there may be have not logged in.
    BeforeLoginLimit,
    /// As many sessions of its address as there may be have not logged in.
    ClientBeforeLoginLimit,
    /// Its address has as many sessions as one may have.
    ClientLimit,
    /// It connects more often than a client may.
    ClientRate,
    /// The listener is not for its network.
    Denied,
    /// There are as many sessions as there may be.
    Limit,
    /// Its network has as many sessions as one may have.
    NetworkLimit,
}

impl Refusal {
    /// All of them, for metrics that are to exist before their first increment.
    pub const ALL: [Self; 7] = [
        Self::BeforeLoginLimit,
        Self::ClientBeforeLoginLimit,
        Self::ClientLimit,
        Self::ClientRate,
        Self::Denied,
        Self::Limit,
        Self::NetworkLimit,
    ];

    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BeforeLoginLimit => "before_login_limit",
            Self::ClientBeforeLoginLimit => "client_before_login_limit",
            Self::ClientLimit => "client_limit",
            Self::ClientRate => "client_rate",
            Self::Denied => "denied",
            Self::Limit => "limit",
            Self::NetworkLimit => "network_limit",
        }
    }

    /// What an operator may change who does not want it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::BeforeLoginLimit => "limits.sessions_before_login",
            Self::ClientBeforeLoginLimit => "limits.sessions_before_login_per_client",
            Self::ClientLimit => "limits.sessions_per_client",
            Self::ClientRate => "limits.connection_rate",
            Self::Denied => "listener.allow and listener.deny",
            Self::Limit => "limits.sessions",
            Self::NetworkLimit => "limits.sessions_per_network",
        }
    }
}
