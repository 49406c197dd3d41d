-- # Most bytes
-- Sites with most allocated bytes, freed or not.
--
-- group  volume
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column bytes : bytes  allocated bytes
-- column bytes_share : share  share of all allocated bytes
-- column allocations : count  number of allocations
-- column average_bytes : bytes  average size
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.bytes AS bytes,
    1.0 * sites.bytes / (SELECT sum(bytes) FROM sites) AS bytes_share,
    sites.allocations AS allocations,
    1.0 * sites.bytes / sites.allocations AS average_bytes
FROM sites LEFT JOIN frames ON frames.id = sites.frame
ORDER BY sites.bytes DESC, sites.bt
LIMIT :limit;
