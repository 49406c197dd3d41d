-- # Temporaries
-- Sites with blocks that are freed by their own thread after at most one other allocation. Reusing
-- a buffer avoids them. Unknown for a sampled recording.
--
-- group  churn
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column temporary : count  temporary blocks
-- column temporary_share : share  share of the site's allocations
-- column temporary_bytes : bytes  their bytes
-- column allocations : count  number of allocations
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.temporary AS temporary,
    1.0 * sites.temporary / sites.allocations AS temporary_share,
    sites.temporary_bytes AS temporary_bytes,
    sites.allocations AS allocations
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.temporary > 0
ORDER BY sites.temporary DESC, sites.bt
LIMIT :limit;
