-- # Held, but no longer allocating
-- Which call sites hold memory and have not allocated for long? What is left of a burst, or of a
-- start.
--
-- group  leaks
-- param  idle : duration = 1m   at least so long before the end of the recording
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive at the end
-- column live_blocks : count  alive at the end
-- column idle_ns : ns  since the last allocation
-- column last_ns : moment  last allocation
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
