//! Binds the address and answers requests on it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

use crate::http::connections::{Large, Limits};
use crate::http::listener::{Listener, Serving};
use crate::web::front::Front;
use crate::web::router;

/// Binds the address and answers requests in separate threads until the returned value is dropped.
/// Returns the bound address, too.
pub fn serve(front: Arc<Front>, address: &str) -> anyhow::Result<(Serving, SocketAddr)> {
    let listener = Listener::bind(address)
        .with_context(|| format!("listen on {address}: choose another with --listen"))?;
    let bound = listener.local_addr().context("ask for the bound address")?;
    let handler = Arc::new(move |mut request| {
        front.base.enter(&mut request);
        front.base.leave(router::answer(&front, &request))
    });
    let stop = Arc::new(AtomicBool::new(false));
    let limits = Limits { large: Some(LARGE), ..Limits::default() };
    let serving: io::Result<Serving> = listener.serve(handler, limits, stop);
    log::info!("listening on http://{bound}");
    Ok((serving.context("start the listener's thread")?, bound))
}

/// Larger limits for the webhook: an end-of-call report holds the whole transcript, and some are
/// ten times as large as any other request.
const LARGE: Large =
    Large { path: router::WEBHOOK, body_bytes: 2 * 1024 * 1024, memory_bytes: 32 * 1024 * 1024 };
