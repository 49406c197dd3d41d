-- # Never freed
-- Sites with most live bytes at the end of the recording.
--
-- group  leaks
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the end
-- column live_blocks : count  blocks live at the end
-- column live_share : share  share of all bytes live at the end
-- column allocations : count  number of allocations
-- column first_ns : moment  time of the first allocation
-- column last_ns : moment  time of the last allocation
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
