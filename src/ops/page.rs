//! The status page at the admin address: what runs, for people, in a browser.
//!
//! ```text
//!   GET /             the page: one document, no other resource; its script asks for
//!   GET /status.json  one look at what runs, made at most once a second however many people watch
//! ```
//! Whatever a peer has sent (user names, file names, errors of checks) goes over the wire as JSON and into the
//! document as text, never as markup; the policy that goes with the document lets nothing else run.
//!
//! Live sessions name clients, users and files. They are shown where the configuration says so, and only to who
//! asks by an address: a name could be one that a foreign page has made to point here (see `browsers`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::config::Page;
use crate::ops::browsers::cannot_be_rebound;
use crate::ops::fleet::Fleet;
use crate::ops::status::{SessionList, Status};
use crate::ops::survey;

/// The page and what it asks for.
pub(super) fn routes(fleet: Arc<Fleet>) -> Router {
    let watch = Watch {
        fleet,
        last: Mutex::default(),
    };
    Router::new()
        .route("/", get(document))
        .route("/status.json", get(look))
        .with_state(Arc::new(watch))
}

/// What everybody who watches shares.
struct Watch {
    fleet: Arc<Fleet>,
    last: Mutex<Option<Arc<Look>>>,
}

/// What runs, at one moment.
struct Look {
    at: Instant,
    status: Status,
    sessions: SessionList,
}

/// What the page is told.
#[derive(Serialize)]
struct Told<'l> {
    #[serde(flatten)]
    status: &'l Status,
    /// `null` where they are not shown.
    live: Option<&'l SessionList>,
    /// Why they are not.
    hidden: Option<&'static str>,
}

async fn document(State(watch): State<Arc<Watch>>) -> Response {
    if **watch.fleet.page.load() == Page::Off {
        return off();
    }
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let Ok(policy) = HeaderValue::try_from(policy) else {
        // It is made of ASCII.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let html = HTML
        .replace("{nonce}", &nonce)
        .replace("{style}", STYLE)
        .replace("{script}", SCRIPT);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(TYPE)),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, guarded(html)).into_response()
}

async fn look(State(watch): State<Arc<Watch>>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST);
    let is_address = host.is_none_or(|host| host.to_str().is_ok_and(cannot_be_rebound));
    let hidden = match **watch.fleet.page.load() {
        Page::Off => return off(),
        Page::Summary => Some(SUMMARY),
        Page::Full if !is_address => Some(BY_NAME),
        Page::Full => None,
    };
    let Some(look) = watch.look().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let told = Told {
        status: &look.status,
        live: hidden.is_none().then_some(&look.sessions),
        hidden,
    };
    match serde_json::to_vec(&told) {
        Ok(json) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (kind, guarded(json)).into_response()
        }
        // Text and numbers: nothing in them can fail.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Watch {
    /// The last look, or a new one. Whoever comes while it is made waits for it.
    async fn look(&self) -> Option<Arc<Look>> {
        let mut last = self.last.lock().await;
        if let Some(look) = last.as_ref().filter(|look| look.at.elapsed() < FRESH) {
            return Some(Arc::clone(look));
        }
        let fleet = Arc::clone(&self.fleet);
        // Thousands of sessions take milliseconds, which others have a better use for.
        let look = tokio::task::spawn_blocking(move || {
            let at = Instant::now();
            Arc::new(Look {
                at,
                status: survey::status(&fleet, at),
                sessions: survey::busiest(&fleet, SHOWN, at),
            })
        });
        let look = look.await.ok()?;
        *last = Some(Arc::clone(&look));
        Some(look)
    }
}

fn off() -> Response {
    let text = "there is no status page here: [admin] page is \"off\"\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

/// Neither kept, nor taken for something else, nor told of to others.
fn guarded(body: impl IntoResponse) -> impl IntoResponse {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body)
}

/// Sessions in one answer: more than a person reads, some 100 KiB.
const SHOWN: usize = 200;

/// For how long a look is good enough for whoever else asks: less than the page waits between two.
const FRESH: Duration = Duration::from_secs(1);

const SUMMARY: &str = "Live sessions name clients, users and files. They are not shown at this address \
                       unless the configuration has [admin] page = \"full\".";

const BY_NAME: &str = "Live sessions name clients, users and files. They are shown only where this page is \
                       opened by an IP address: any page could have a name point here.";

const TYPE: &str = "text/html; charset=utf-8";
const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
