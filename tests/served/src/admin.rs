//! The admin door: its routes belong behind whatever guards the others, or on loopback.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use rheaper::{Control, ControlError, Measure, TrackerConfig};

/// Watches a signal, a file, a variable and its own memory.
pub fn control(profile_dir: PathBuf) -> Result<Control, ControlError> {
    let switch = profile_dir.join("record");
    rheaper::control(TrackerConfig {
        max_stack_depth: 64,
        max_trackers: 256,
        tracker_event_buffer_size: 65_536,
        sample_rate: 1.0,
        profile_dir,
    })
    .signal(12) // SIGUSR2
    .file(switch)
    .env("RHEAPER_RECORD")
    .when_above(Measure::Rss, 3 << 30)
    .record_for(Duration::from_secs(600))
    .start()
}

/// `GET /heap`, `POST /heap/start`, `POST /heap/stop`, `POST /heap/mark`.
pub fn routes(control: Arc<Control>) -> Router {
    Router::new()
        .route("/heap", get(status))
        .route("/heap/start", post(start))
        .route("/heap/stop", post(stop))
        .route("/heap/mark", post(mark))
        .with_state(control)
}

async fn status(State(control): State<Arc<Control>>) -> String {
    format!("{:#?}\n", control.status())
}

async fn start(State(control): State<Arc<Control>>) -> StatusCode {
    control.start_recording();
    StatusCode::ACCEPTED
}

async fn stop(State(control): State<Arc<Control>>) -> StatusCode {
    control.stop_recording();
    StatusCode::ACCEPTED
}

/// The body is the mark's name: `curl -d settled localhost:9090/heap/mark`.
async fn mark(name: String) -> StatusCode {
    rheaper::mark(&name, 0);
    StatusCode::NO_CONTENT
}
