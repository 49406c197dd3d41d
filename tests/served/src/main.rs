//! A server whose heap is recorded on demand, as docs/guide/PRODUCTION.md shows it, and which leaks.
//!
//! Prints the ports of its service and of its admin door.

mod admin;

use std::sync::{Arc, Mutex};

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tracing::{Instrument, info_span};
use tracing_subscriber::layer::SubscriberExt;

#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

/// Sessions that nobody removes.
static SESSIONS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn keep(bytes: usize) {
    if let Ok(mut sessions) = SESSIONS.lock() {
        sessions.push(vec![1; bytes]);
    }
}

async fn checkout() -> &'static str {
    async {
        let parsed = async {
            let parsed = vec![7_u8; 3_000];
            tokio::task::yield_now().await;
            parsed
        };
        let parsed = parsed.instrument(info_span!("parse")).await;
        async {
            keep(10_000);
            tokio::task::yield_now().await;
            keep(20_000);
        }
        .instrument(info_span!("remember session"))
        .await;
        // A task of its own, on whatever thread: its span is this request's.
        let audit = async move { keep(parsed.len()) }.instrument(info_span!("audit"));
        let audit = tokio::spawn(audit);
        let _ = audit.await;
        "ok\n"
    }
    .instrument(info_span!("checkout"))
    .await
}

async fn health() -> &'static str {
    let _page = vec![2_u8; 50_000];
    "ok\n"
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let subscriber = tracing_subscriber::registry().with(rheaper::ScopeLayer::default());
    tracing::subscriber::set_global_default(subscriber)?;
    let recordings = std::env::var_os("RECORD_INTO").ok_or("RECORD_INTO names a directory")?;
    let control = Arc::new(admin::control(recordings.into())?);
    let door = TcpListener::bind("127.0.0.1:0").await?;
    let service = TcpListener::bind("127.0.0.1:0").await?;
    println!("{} {}", service.local_addr()?.port(), door.local_addr()?.port());
    let routes = Router::new().route("/checkout", get(checkout)).route("/health", get(health));
    tokio::spawn(async move { axum::serve(door, admin::routes(control)).await });
    axum::serve(service, routes).await?;
    Ok(())
}
