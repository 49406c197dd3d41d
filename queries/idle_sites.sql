-- # Held, but no longer allocating
-- Sites that hold memory and have not allocated for a long time, such as the rest of a burst or of
-- the start-up.
--
-- group  leaks
-- param  idle : duration = 1m   minimum time between the last allocation and the end
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the end
-- column live_blocks : count  blocks live at the end
-- column idle_ns : ns  time since the last allocation
-- column last_ns : moment  time of the last allocation
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.live_bytes AS live_bytes,
    sites.live_blocks AS live_blocks,
    (SELECT value FROM meta WHERE key = 'duration_ns') - sites.last_ns AS idle_ns,
    sites.last_ns AS last_ns
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.live_blocks > 0 AND sites.last_ns <= (SELECT value FROM meta WHERE key = 'duration_ns') - :idle
ORDER BY live_bytes DESC, sites.bt
LIMIT :limit;
