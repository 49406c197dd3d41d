-- # Temporaries
-- Which call sites make blocks that die at once, freed by their own thread before it has allocated
-- twice more? Reusing a buffer saves these. In a sampled recording that is not known of any.
--
-- group  churn
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column temporary : count  such blocks
-- column temporary_share : share  of the site's blocks
-- column temporary_bytes : bytes  bytes of them
-- column allocations : count  blocks made
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
