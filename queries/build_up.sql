-- # Tasks and channels that pile up
-- Live tasks, messages, timers and spans: blocks below known entry points of asynchronous runtimes
-- and channels. To add entry points, copy this file to your own queries and add lines.
--
-- group  places
-- param  limit : int = 50   maximum number of rows
-- column what  kind of object
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_blocks : count  blocks live at the end
-- column live_bytes : bytes  their bytes
-- column average_bytes : bytes  average size; for a task, the size of its future
-- view   flame
WITH known(what, pattern) AS (VALUES
    ('task', '%tokio::runtime::task::%'),
    ('task', '%tokio::task::spawn%'),
    ('task', '%async_task::%spawn%'),
    ('task', '%async_std::task::spawn%'),
    ('task', '%FuturesUnordered%push%'),
    ('message', '%tokio::sync::mpsc::%send%'),
    ('message', '%std::sync::mpsc::%send%'),
    ('message', '%std::sync::mpmc::%send%'),
    ('message', '%crossbeam_channel::%send%'),
    ('message', '%flume::%send%'),
    ('message', '%async_channel::%send%'),
    ('message', '%futures_channel::%send%'),
    ('timer', '%tokio::time::%'),
    ('span', '%tracing_subscriber::registry::%'),
    ('connection', '%hyper::%::conn::%')
),
matching(frame, what) AS MATERIALIZED (
    SELECT frames.id, min(known.what) FROM frames JOIN known ON frames.sym LIKE known.pattern GROUP BY frames.id
),
below(bt, what) AS MATERIALIZED (
    SELECT bt, min(matching.what) FROM backtrace_frames JOIN matching ON matching.frame = backtrace_frames.frame
    GROUP BY bt
)
SELECT below.what AS what, sites.bt AS bt, frames.function AS site, sites.live_blocks AS live_blocks,
    sites.live_bytes AS live_bytes, 1.0 * sites.bytes / sites.allocations AS average_bytes
FROM below
JOIN sites ON sites.bt = below.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.live_blocks > 0
ORDER BY sites.live_blocks DESC, sites.live_bytes DESC, sites.bt
LIMIT :limit;
