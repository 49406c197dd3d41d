-- # Never freed a single block
-- Sites with many allocations and no frees: a complete leak, or start-up data.
--
-- group  leaks
-- param  blocks : int = 2   minimum number of allocations
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the end
-- column live_blocks : count  blocks live at the end, all allocations of the site
-- column first_ns : moment  time of the first allocation
-- column last_ns : moment  time of the last allocation
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
