-- # Most allocations
-- Which call sites allocate most often?
--
-- group  volume
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column allocations : count  blocks made
-- column allocation_share : share  of all blocks
-- column bytes : bytes  bytes of them
-- column live_blocks : count  alive at the end
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.allocations AS allocations,
    1.0 * sites.allocations / (SELECT sum(allocations) FROM sites) AS allocation_share,
    sites.bytes AS bytes,
    sites.live_blocks AS live_blocks
FROM sites LEFT JOIN frames ON frames.id = sites.frame
ORDER BY sites.allocations DESC, sites.bt
LIMIT :limit;
