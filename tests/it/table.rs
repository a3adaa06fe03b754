//! A session of ftplb between a scripted client and a scripted backend, both played by the test.

use std::net::SocketAddr;

use crate::proxy::{Proxy, Setup};
use crate::scripted::{Door, Peer, parse_227, reply_227};
use crate::servers::{PASSWORD, USER};

/// ftplb between a scripted client and a scripted backend.
pub(crate) struct Table {
    pub(crate) proxy: Proxy,
    pub(crate) door: Door,
    pub(crate) client: Peer,
    pub(crate) backend: Peer,
}

impl Table {
    /// A session that has been greeted.
    pub(crate) fn greeted() -> Self {
        Self::with(|setup| setup)
    }

    /// A greeted session of a changed balancer.
    pub(crate) fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let door = Door::new();
        let proxy = change(Setup::new(&[door.address()])).start();
        let (client, backend) = greet(&proxy, &door);
        Self {
            proxy,
            door,
            client,
            backend,
        }
    }

    /// A session that has logged in.
    pub(crate) fn logged_in() -> Self {
        let mut table = Self::greeted();
        table.log_in();
        table
    }

    /// Logs in.
    #[track_caller]
    pub(crate) fn log_in(&mut self) {
        self.exchange(&format!("USER {USER}"), "331 Password?");
        self.exchange(&format!("PASS {PASSWORD}"), "230 Welcome.");
    }

    /// The client says `line`, the backend hears it and answers `reply`, the client gets that.
    #[track_caller]
    pub(crate) fn exchange(&mut self, line: &str, reply: &str) {
        self.client.say(line);
        self.backend.hears(line);
        self.backend.say(reply);
        self.client.hears(reply);
    }

    /// The session works, and the backend has heard nothing since it was last listened to.
    #[track_caller]
    pub(crate) fn works(&mut self) {
        self.exchange("NOOP", "200 Zzz.");
    }

    /// The client's bytes are answered with `code` by ftplb, and the backend hears nothing of them.
    #[track_caller]
    pub(crate) fn refuses(&mut self, bytes: impl AsRef<[u8]>, code: u16) {
        self.client.send(bytes);
        self.client.reply(code);
        self.works();
    }

    /// Passive mode is agreed: where the client is to connect, and where the backend listens.
    #[track_caller]
    pub(crate) fn pasv(&mut self) -> (SocketAddr, Door) {
        let data = Door::at(SocketAddr::new(self.door.address().ip(), 0));
        self.client.say("PASV");
        self.backend.hears("PASV");
        self.backend.say(&reply_227(data.address()));
        let address = parse_227(&self.client.reply(227));
        assert_eq!(address.ip(), self.proxy.address.ip(), "the VIP");
        (address, data)
    }

    /// A passive data connection: the client's end and the backend's.
    #[track_caller]
    pub(crate) fn passive_data(&mut self) -> (Peer, Peer) {
        let (address, data) = self.pasv();
        let client = Peer::connect(address);
        (client, data.accept())
    }

    /// The client says `line`, the backend hears it and begins a transfer.
    #[track_caller]
    pub(crate) fn transfer(&mut self, line: &str) {
        self.exchange(line, "150 Here it comes.");
    }

    /// A second session of the same balancer.
    pub(crate) fn another(&self) -> (Peer, Peer) {
        greet(&self.proxy, &self.door)
    }
}

fn greet(proxy: &Proxy, door: &Door) -> (Peer, Peer) {
    let mut client = Peer::connect(proxy.address);
    let mut backend = door.accept();
    backend.say("220 Scripted.");
    client.hears("220 Scripted.");
    (client, backend)
}
