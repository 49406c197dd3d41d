-- # Start-up constants
-- Which memory was made in the first twentieth of the run and never freed? Tables, lazy statics,
-- configuration: large perhaps, but no leak.
--
-- group  leaks
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive at the end
-- column live_blocks : count  alive at the end, all that were made
-- column last_ns : moment  last allocation
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.live_bytes AS live_bytes,
    sites.live_blocks AS live_blocks,
    sites.last_ns AS last_ns
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.frees = 0 AND sites.last_ns <= 0.05 * (SELECT value FROM meta WHERE key = 'duration_ns')
ORDER BY live_bytes DESC, sites.bt
LIMIT :limit;
