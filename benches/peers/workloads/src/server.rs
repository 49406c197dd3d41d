//! `server`: an HTTP service on two worker threads, with its own load generator on loopback. Tasks
//! migrate between threads, blocks are freed by another thread than allocated them, and stacks are
//! those of an async program. One iteration is one request. It ends by itself: after the requests,
//! or with an error when they take longer than a fixed time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::{Work, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const WORKERS: usize = 2;
const CONNECTIONS: u64 = 8;
const RECORDS_A_REQUEST: u64 = 5;
const TIME_LIMIT: Duration = Duration::from_secs(2400);

/// Between two requests of a client that takes its time.
const PAUSE: Duration = Duration::from_millis(4);

/// One request in so many leaves something behind, where the server leaks.
const REQUESTS_A_LEAK: u64 = 10_000;

static LEAKS: AtomicBool = AtomicBool::new(false);
static ANSWERED: AtomicU64 = AtomicU64::new(0);
/// Requests that somebody wanted to look at later.
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// At the pace of a service that is used, with a leak: what is to be found in a long recording.
pub(crate) fn leaky_requests() -> Work {
    LEAKS.store(true, Relaxed);
    serve(PAUSE)
}

/// As fast as it goes.
pub(crate) fn requests() -> Work {
    serve(Duration::ZERO)
}

/// At the pace of a service that is used and not flooded: for long runs.
pub(crate) fn paced_requests() -> Work {
    serve(PAUSE)
}

fn serve(pause: Duration) -> Work {
    let body = Bytes::from(json::records(RECORDS_A_REQUEST));
    Box::new(move |iterations| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        // The timer belongs to the runtime, so it is made inside.
        let bounded =
            async { tokio::time::timeout(TIME_LIMIT, load(iterations, body.clone(), pause)).await };
        let done = runtime.block_on(bounded);
        runtime.shutdown_timeout(Duration::from_secs(5));
        done.expect("the requests end within the time limit")
            .expect("every request is answered");
    })
}

/// Serves and asks, until `iterations` requests are answered.
async fn load(iterations: u64, body: Bytes, pause: Duration) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let accepting = tokio::spawn(accept(listener));
    let mut clients = Vec::new();
    for connection in 0..CONNECTIONS {
        let share = iterations / CONNECTIONS + u64::from(connection < iterations % CONNECTIONS);
        clients.push(tokio::spawn(ask(address, share, body.clone(), pause)));
    }
    for client in clients {
        client.await??;
    }
    accepting.abort();
    Ok(())
}

/// Serves each connection in a task of its own.
async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A connection that its client has closed is the normal end, not a failure.
            let _closed = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

/// Parses the records and answers with a summary of them.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = match request.into_body().collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            let nth = ANSWERED.fetch_add(1, Relaxed);
            if LEAKS.load(Relaxed) && nth % REQUESTS_A_LEAK == 0 {
                keep(nth, &body);
            }
            summary(&body)
        }
        Err(error) => format!("unreadable request: {error}"),
    };
    Ok(Response::new(Full::new(Bytes::from(text))))
}

/// Remembers a request, for ever.
fn keep(nth: u64, body: &[u8]) {
    let text = format!("request {nth}: {}", String::from_utf8_lossy(body));
    if let Ok(mut kept) = KEPT.lock() {
        kept.push(text);
    }
}

fn summary(body: &[u8]) -> String {
    let Ok(Value::Array(records)) = serde_json::from_slice(body) else {
        return String::from("not an array of records");
    };
    let names: Vec<&str> = records
        .iter()
        .filter_map(|record| record["name"].as_str())
        .collect();
    serde_json::json!({ "records": records.len(), "names": names }).to_string()
}

/// One client: the given number of requests, one after the other, over one connection.
async fn ask(
    address: SocketAddr,
    requests: u64,
    body: Bytes,
    pause: Duration,
) -> Result<(), Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    for _ in 0..requests {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let request = Request::post("/records")
            .header("host", "localhost")
            .body(Full::new(body.clone()))?;
        let answer = sender
            .send_request(request)
            .await?
            .into_body()
            .collect()
            .await?
            .to_bytes();
        let answer: Value = serde_json::from_slice(&answer)?;
        if answer["records"] != RECORDS_A_REQUEST {
            return Err("a wrong answer".into());
        }
    }
    drop(sender);
    connection.await??;
    Ok(())
}
