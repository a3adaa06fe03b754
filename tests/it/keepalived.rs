//! ftplb in the place of keepalived and IPVS, from the file that they had.

use std::fs;
use std::net::SocketAddr;

use crate::clients::{Mode, Story, Tool, curl};
use crate::netns::Networks;
use crate::process::{SOON, eventually, run};
use crate::proxy::{PROGRAM, Proxy};
use crate::servers::{Kind, Server};

/// The FTP service of the LVS guides: the packets to ports 21 and 10000 to 20000 of the virtual IP carry the
/// mark 21, clients stay with their real server, and a sorry server stands by. The checks are quicker here.
const LVS_GUIDE: &str = "
! Configuration File for keepalived
global_defs {
   notification_email { ops@example.com }
   router_id LVS_FTP
}

vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress { 10.77.1.100 }
}

virtual_server fwmark 21 {
    delay_loop 0.2
    lb_algo rr
    lb_kind NAT
    persistence_timeout 360
    persistence_granularity 255.255.255.255
    protocol TCP

    sorry_server 10.77.2.12 2121

    real_server 10.77.2.11 21 {
        weight 1
        TCP_CHECK {
            connect_timeout 1
            retry 1
            delay_before_retry 0.1
        }
    }
    real_server 10.77.2.12 21 {
        weight 1
        TCP_CHECK {
            connect_timeout 1
            retry 1
            delay_before_retry 0.1
        }
    }
}
";

const VIP: &str = "10.77.1.100:21";
const ADMIN: &str = "10.77.1.1:9121";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// Which server a client at `source` meets: the file that only that server has says it.
fn met(networks: &Networks, source: &str) -> String {
    let mut command = curl(&networks.client, &["--interface", source]);
    command.arg(format!("ftp://{VIP}/pub/who.txt"));
    run(&mut command, SOON).stdout
}

#[test]
fn ftp_service_of_the_lvs_guides_runs_from_its_keepalived_conf() {
    let networks = Networks::new();
    let [mut first, mut second, sorry] = ["10.77.2.11:21", "10.77.2.12:21", "10.77.2.12:2121"]
        .map(|address| Server::start_at(Kind::Vsftpd, at(address), &networks.backends));
    first.put("who.txt", b"first");
    second.put("who.txt", b"second");
    sorry.put("who.txt", b"sorry");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("keepalived.conf");
    fs::write(&file, LVS_GUIDE).unwrap();
    let mut command = networks.balancer.command(PROGRAM);
    command.args(["run", "--keepalived"]).arg(&file);
    command.args(["--fwmark", &format!("21={VIP}"), "--admin", ADMIN]);
    command.args(["--log-format", "json", "--log-filter", "debug"]);
    let proxy = Proxy::start(command, at(VIP), at(ADMIN), &networks.balancer, home);
    proxy.wait_until_ready();
    for address in ["10.77.2.11:21", "10.77.2.12:21"] {
        let backend = format!("backend=\"{address}\"");
        proxy.wait_for_metric("ftplb_backend_up", &[&backend], 1.0);
    }

    // Persistence: each client stays, and the two of them are shared out in turn.
    let of_client = ["10.77.1.2", "10.77.1.3"].map(|source| met(&networks, source));
    assert_ne!(of_client[0], of_client[1], "{}", proxy.log());
    for _ in 0..3 {
        assert_eq!(met(&networks, "10.77.1.2"), of_client[0]);
        assert_eq!(met(&networks, "10.77.1.3"), of_client[1]);
    }
    // The kernel's choice of a source is the first address.
    let server = if of_client[0] == "first" {
        &first
    } else {
        &second
    };
    for (tool, mode) in [
        (Tool::Lftp, Mode::Pasv),
        (Tool::Lftp, Mode::Port),
        (Tool::Curl, Mode::Epsv),
    ] {
        Story::new(tool, mode, proxy.address, &networks.client).run(server);
    }

    // A dead server keeps no client, unlike with ipvs.
    first.kill();
    proxy.wait_for_metric("ftplb_backend_up", &["backend=\"10.77.2.11:21\""], 0.0);
    for source in ["10.77.1.2", "10.77.1.3"] {
        assert_eq!(met(&networks, source), "second");
    }
    // With the last one the quorum goes, and the sorry server stands in.
    second.kill();
    proxy.wait_for_metric("ftplb_pool_quorum", &[], 0.0);
    for source in ["10.77.1.2", "10.77.1.3"] {
        assert_eq!(met(&networks, source), "sorry");
    }
    proxy.wait_for_log(
        "the pool has lost its quorum: new sessions go to the sorry server",
        1,
    );
    let again = Server::start_at(Kind::Vsftpd, at("10.77.2.11:21"), &networks.backends);
    again.put("who.txt", b"again");
    proxy.wait_for_metric("ftplb_pool_quorum", &[], 1.0);
    eventually("the first server is back", || {
        met(&networks, "10.77.1.2") == "again"
    });
}
