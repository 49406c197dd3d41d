-- # Most allocations
-- Sites with most allocations.
--
-- group  volume
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column allocations : count  number of allocations
-- column allocation_share : share  share of all allocations
-- column bytes : bytes  their bytes
-- column live_blocks : count  blocks live at the end
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.allocations AS allocations,
    1.0 * sites.allocations / (SELECT sum(allocations) FROM sites) AS allocation_share,
    sites.bytes AS bytes,
    sites.live_blocks AS live_blocks
FROM sites LEFT JOIN frames ON frames.id = sites.frame
ORDER BY sites.allocations DESC, sites.bt
LIMIT :limit;
