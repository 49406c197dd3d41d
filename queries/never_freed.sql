-- # Never freed
-- Which call sites hold most memory at the end of the recording?
--
-- group  leaks
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive at the end
-- column live_blocks : count  alive at the end
-- column live_share : share  of all bytes alive at the end
-- column allocations : count  blocks ever made here
-- column first_ns : moment  first allocation
-- column last_ns : moment  last allocation
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.live_bytes AS live_bytes,
    sites.live_blocks AS live_blocks,
    1.0 * sites.live_bytes / (SELECT sum(live_bytes) FROM sites) AS live_share,
    sites.allocations AS allocations,
    sites.first_ns AS first_ns,
    sites.last_ns AS last_ns
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.live_blocks > 0
ORDER BY live_bytes DESC, sites.bt
LIMIT :limit;
