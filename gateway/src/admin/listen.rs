//! The admin listener's connections: bounded in number and in the time they may take, ended gracefully on drain.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::core::Shared;
use crate::limits::{ADMIN_CONNECTIONS_MAX, SWEEP_MS};

/// Accepts until the server drains, then waits for what is in flight; the drain itself is bounded by the server.
pub(crate) async fn serve(listener: TcpListener, router: Router, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    let (draining, drained) = watch::channel(());
    let mut look = tokio::time::interval(Duration::from_millis(SWEEP_MS));
    while !shared.is_draining() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = look.tick() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // Out of descriptors, or the peer is gone already: the next turn may do better.
            Err(error) => {
                tracing::warn!(%error, "the admin listener could not accept");
                look.tick().await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            shared.metrics.refuse("admin_connections");
            continue;
        };
        let header_time = Duration::from_millis(shared.config.header_timeout_ms);
        let task = connection(stream, router.clone(), drained.clone(), header_time, shared.config.header_bytes_max);
        tokio::spawn(async move {
            task.await;
            drop(permit);
        });
    }
    drop(draining);
    let all = u32::try_from(ADMIN_CONNECTIONS_MAX).unwrap_or(u32::MAX);
    // The semaphore is never closed, so this ends when the last connection has.
    drop(permits.acquire_many(all).await);
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut drained: watch::Receiver<()>,
    header_time: Duration,
    header_bytes_max: usize,
) {
    let conn = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .max_buf_size(header_bytes_max.max(HYPER_BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut conn = std::pin::pin!(conn);
    let result = tokio::select! {
        result = conn.as_mut() => result,
        // The sender is dropped when the drain begins.
        _ = drained.changed() => {
            conn.as_mut().graceful_shutdown();
            conn.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

/// hyper refuses, by panic, to read with a smaller buffer.
const HYPER_BUFFER_BYTES_MIN: usize = 8192;
