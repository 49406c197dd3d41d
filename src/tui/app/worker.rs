//! Runs requests on their own threads: one thread and one database connection per queue.
//!
//! Reads: the database, read-only, and source files. Writes: one [`Response`] per request.
//!
//! Invariants:
//! - Every request gets one response, even if it is cancelled or panics.
//! - A request that is cancelled before it starts never starts.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::database::cancel::CancelToken;
use crate::database::compare::{Side, compare};
use crate::database::connection::{Database, OpenOptions};
use crate::database::error::{OpenError, QueryError, QueryErrorKind};
use crate::database::query::Limits;
use crate::tui::app::message::{Queue, Request, RequestBody, RequestId, Response, ResponseBody};
use crate::tui::app::{call_tree, source};
use crate::tui::data::histogram;
use crate::tui::flame::difference_tree::Differences;
use crate::tui::flame::shape::ShapedTree;

/// Memory limit of SQLite for all queues together, so that the explorer stays below 200 MiB (target of
/// docs/internals/PERFORMANCE.md).
const SQLITE_MAX_BYTES: u64 = 96 << 20;

/// Maximum size of a response.
const RESPONSE_MAX_BYTES: usize = 16 << 20;

/// Rows that are counted; more are shown as "more than".
const COUNT_MAX: u64 = 1 << 40;

type Tokens = Arc<Mutex<HashMap<RequestId, CancelToken>>>;

/// The worker threads.
#[derive(Debug)]
pub struct Workers {
    queues: HashMap<Queue, Sender<(Request, CancelToken)>>,
    tokens: Tokens,
}

impl Workers {
    /// Starts the threads. `first` is an open connection for the first queue.
    ///
    /// # Errors
    /// When the database can't be opened again.
    pub fn start(
        database: &Path,
        first: Database,
        notify: impl Fn(Response) + Clone + Send + 'static,
    ) -> Result<Self, OpenError> {
        let tokens = Tokens::default();
        let mut queues = HashMap::new();
        let mut first = Some(first);
        for queue in Queue::ALL {
            let connection = match first.take() {
                Some(first) => Some(first),
                None => Some(open(database)?),
            };
            let (sender, receiver) = channel();
            let worker = Worker {
                database: connection,
                path: database.to_owned(),
                tokens: Arc::clone(&tokens),
            };
            let notify = notify.clone();
            let thread = thread::Builder::new().name("rheaper-query".into());
            // Requests of a queue whose thread could not be started are never answered.
            if thread.spawn(move || worker.run(&receiver, notify)).is_ok() {
                queues.insert(queue, sender);
            }
        }
        Ok(Self { queues, tokens })
    }

    /// Queues a request.
    pub fn submit(&self, request: Request) {
        let token = CancelToken::new();
        lock(&self.tokens).insert(request.id, token.clone());
        if let Some(queue) = self.queues.get(&request.queue) {
            // Fails only if the thread has ended, which needs this sender to be dropped.
            let _ = queue.send((request, token));
        }
    }

    /// Cancels a request.
    pub fn cancel(&self, id: RequestId) {
        if let Some(token) = lock(&self.tokens).get(&id) {
            token.cancel();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for token in lock(&self.tokens).values() {
            token.cancel();
        }
    }
}

/// Opens a database with the explorer's limits.
///
/// # Errors
/// As [`Database::open`].
pub fn open(database: &Path) -> Result<Database, OpenError> {
    let options = OpenOptions { heap_max_bytes: Some(SQLITE_MAX_BYTES) };
    Database::open_with(database, &options)
}

struct Worker {
    database: Option<Database>,
    path: PathBuf,
    tokens: Tokens,
}

impl Worker {
    fn run(mut self, requests: &Receiver<(Request, CancelToken)>, notify: impl Fn(Response)) {
        while let Ok((request, token)) = requests.recv() {
            let start = Instant::now();
            let id = request.id;
            let result = match token.is_cancelled() {
                true => Err(QueryError::new(QueryErrorKind::Cancelled, "stopped")),
                false => self.run_caught(request.body, &token),
            };
            lock(&self.tokens).remove(&id);
            notify(Response { id, elapsed: start.elapsed(), result });
        }
    }

    /// Runs a request. A panic becomes an error, and closes the connection because its state is unknown.
    fn run_caught(
        &mut self,
        body: RequestBody,
        token: &CancelToken,
    ) -> Result<ResponseBody, QueryError> {
        let Some(database) = &self.database else {
            self.database = open(&self.path).ok();
            let text = "the database had to be reopened; try again";
            return Err(QueryError::new(QueryErrorKind::Damaged, text));
        };
        let result = catch_unwind(AssertUnwindSafe(|| execute(database, &self.path, body, token)));
        result.unwrap_or_else(|_| {
            self.database = None;
            let text = "internal error in rheaper; please report the query";
            Err(QueryError::new(QueryErrorKind::Damaged, text))
        })
    }
}

/// Runs one request on this thread.
///
/// # Errors
/// When the query fails or is cancelled.
pub fn execute(
    database: &Database,
    path: &Path,
    body: RequestBody,
    token: &CancelToken,
) -> Result<ResponseBody, QueryError> {
    let limits = |rows: usize| Limits {
        bytes_max: RESPONSE_MAX_BYTES,
        ..Limits::rows(rows).cancelled_by(token)
    };
    Ok(match body {
        RequestBody::Rows { query, limit } => {
            ResponseBody::Table(database.query(&query.sql, &query.params, &limits(limit))?)
        }
        RequestBody::Page { query, view, offset, limit } => {
            let limits = limits(limit);
            let is_plain = offset == 0 && view.filters.is_empty() && view.sort.is_empty();
            ResponseBody::Table(match is_plain && !is_wrappable(&query.sql) {
                true => database.query(&query.sql, &query.params, &limits)?,
                false => database.page(&query.sql, &query.params, &view, offset, &limits)?,
            })
        }
        RequestBody::Count { query, view } => {
            let limits = limits(1);
            let (rows, complete) =
                database.count(&query.sql, &query.params, &view, COUNT_MAX, &limits)?;
            ResponseBody::Count(rows, complete)
        }
        RequestBody::Tree(source) => {
            ResponseBody::Tree(Arc::new(call_tree::read(database, &source, token)?))
        }
        RequestBody::Shape(tree, shapes) => {
            let shown = shapes.into_iter().map(|it| Arc::new(ShapedTree::new(&tree, it)));
            ResponseBody::Shaped(shown.collect())
        }
        RequestBody::Sites(end_ns) => {
            ResponseBody::Sites(Arc::new(call_tree::sites(database, end_ns, token)?))
        }
        RequestBody::Histograms { sql, end_ns } => {
            ResponseBody::Histograms(Arc::new(histogram::read(database, &sql, end_ns, token)?))
        }
        RequestBody::Compare(sides, per) => {
            let first = sides.before.as_deref().map(open).transpose();
            let first = first
                .map_err(|error| QueryError::new(QueryErrorKind::Damaged, error.to_string()))?;
            let [before, after] = sides.windows;
            let before = Side { database: first.as_ref().unwrap_or(database), window: before };
            let after = Side { database, window: after };
            ResponseBody::Compared(Arc::new(compare(&before, &after, &per, token)?))
        }
        RequestBody::Differences(comparison, options) => {
            ResponseBody::Differences(Arc::new(Differences::new(comparison, options)))
        }
        RequestBody::Export(export, write) => {
            ResponseBody::Exported(write(database, &export, token))
        }
        RequestBody::Source { file, line } => ResponseBody::Source(source::read(&file, line, path)),
    })
}

/// `EXPLAIN` and pragmas can't be a subquery.
fn is_wrappable(sql: &str) -> bool {
    use crate::database::sql::lexer::tokens;
    let first = tokens(sql).into_iter().find(|token| !token.is_blank());
    let word = first.map(|token| token.text(sql).to_ascii_uppercase());
    !matches!(word.as_deref(), Some("EXPLAIN" | "PRAGMA"))
}

fn lock(tokens: &Tokens) -> std::sync::MutexGuard<'_, HashMap<RequestId, CancelToken>> {
    // Each operation on the map is complete or has no effect.
    tokens.lock().unwrap_or_else(PoisonError::into_inner)
}
