-- # Start-up constants
-- Memory that was allocated in the first twentieth of the recording and never freed: tables, lazy
-- statics, configuration. Not a leak.
--
-- group  leaks
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the end
-- column live_blocks : count  blocks live at the end, all allocations of the site
-- column last_ns : moment  time of the last allocation
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.live_bytes AS live_bytes,
    sites.live_blocks AS live_blocks,
    sites.last_ns AS last_ns
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.frees = 0 AND sites.last_ns <= 0.05 * (SELECT value FROM meta WHERE key = 'duration_ns')
ORDER BY live_bytes DESC, sites.bt
LIMIT :limit;
