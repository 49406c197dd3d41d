-- # Never freed a single block
-- Which call sites have made many blocks and freed none? A leak of everything, or start-up data.
--
-- group  leaks
-- param  blocks : int = 2   at least so many blocks
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive at the end
-- column live_blocks : count  alive at the end, all that were made
-- column first_ns : moment  first allocation
-- column last_ns : moment  last allocation
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.live_bytes AS live_bytes,
    sites.live_blocks AS live_blocks,
    sites.first_ns AS first_ns,
    sites.last_ns AS last_ns
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.frees = 0 AND sites.allocations >= :blocks
ORDER BY live_bytes DESC, sites.bt
LIMIT :limit;
