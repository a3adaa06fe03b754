//! Mixed work, the rude kind too, after which nothing may be left: a short version of the bench `soak`, whose
//! clients and servers these are.

use std::time::Duration;

use tokio::runtime::Builder;

use crate::bench::server;
use crate::bench::soak::{self, Plan};
use crate::bench::subject::{Admin, Subject};
use crate::process::own_ip;
use crate::proxy::Setup;

#[test]
fn mixed_work_ends_with_memory_descriptors_and_gauges_where_they_began() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let backends = runtime.block_on(async { server::start(&[own_ip(), own_ip()]) });
    let proxy = Setup::new(&backends.unwrap()).start();
    let plan = Plan {
        subject: Subject {
            id: proxy.id(),
            admin: Admin(proxy.admin),
        },
        target: proxy.address,
        warm_up: Duration::from_secs(4),
        time: Duration::from_secs(10),
        between_reports: Duration::from_secs(5),
    };
    let done = runtime.block_on(soak::run(plan, |text| eprintln!("{text}")));
    done.unwrap();
}
