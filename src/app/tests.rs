use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::config::check::{Surroundings, check};
use crate::telemetry::log;

const TEXT: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n[log]\nfilter = \"off\"\n\
    [[pool]]\nhealth = false\n[[pool.backend]]\naddress = \"127.0.0.1:9\"\n";

fn config(text: &str) -> Config {
    let checked = check(text, "x.toml", &Surroundings::default());
    checked
        .unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
        .config
}

/// Runs `then` beside a balancer that loads its configuration by `load`, and stops that.
async fn beside<F: Future<Output = ()>>(load: Load, then: impl FnOnce(Arc<Fleet>) -> F) {
    let config = config(TEXT);
    let logging = log::start(&config).unwrap();
    let app = App::build(config, &logging, Footing::default()).unwrap();
    let (fleet, stop) = (app.fleet(), Stop::default());
    let running = tokio::spawn(app.run(stop.clone(), load));
    then(Arc::clone(&fleet)).await;
    stop.drain.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(
        fleet.reload().await,
        Err(vec!["ftplb is stopping".to_owned()])
    );
}

#[tokio::test]
async fn reloads_at_one_time_are_served_one_after_the_other() {
    let (is_busy, count) = (AtomicBool::new(false), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&count);
    let load = move || {
        assert!(!is_busy.swap(true, Ordering::SeqCst), "two at a time");
        std::thread::yield_now();
        let weight = counted.fetch_add(1, Ordering::SeqCst) + 2;
        is_busy.store(false, Ordering::SeqCst);
        Ok(config(&format!("{TEXT}weight = {weight}\n")))
    };
    beside(Arc::new(load), async |fleet| {
        let reload = || fleet.reload();
        let results = tokio::join!(reload(), reload(), reload(), reload());
        let changes = <[_; 4]>::from(results).map(|result| result.unwrap()[0].to_string());
        let change = |weight| {
            let place = "pool default: backend 127.0.0.1:9";
            format!("{place}: weight {weight} → {}", weight + 1)
        };
        let mut told = changes.to_vec();
        told.sort();
        assert_eq!(told, [1, 2, 3, 4].map(change));
    })
    .await;
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn whoever_asks_is_told_of_every_mistake() {
    let mistakes = || vec!["first".to_owned(), "second".to_owned()];
    beside(Arc::new(move || Err(mistakes())), async |fleet| {
        assert_eq!(fleet.reload().await, Err(mistakes()));
        let text = fleet.process.metrics.render();
        assert!(
            text.contains("ftplb_reloads_total{result=\"failed\"} 1"),
            "{text}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_error_of_our_own_is_told_and_the_next_reload_works() {
    let is_first = AtomicBool::new(true);
    let load = move || {
        assert!(
            !is_first.swap(false, Ordering::SeqCst),
            "wanted by the test"
        );
        Ok(config(TEXT))
    };
    beside(Arc::new(load), async |fleet| {
        assert_eq!(fleet.reload().await.unwrap_err().len(), 1);
        assert_eq!(fleet.reload().await, Ok(Vec::new()));
    })
    .await;
}
