-- # Most bytes
-- Which call sites allocate most bytes, freed or not?
--
-- group  volume
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column bytes : bytes  bytes made
-- column bytes_share : share  of all bytes made
-- column allocations : count  blocks made
-- column average_bytes : bytes  a block's average size
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.bytes AS bytes,
    1.0 * sites.bytes / (SELECT sum(bytes) FROM sites) AS bytes_share,
    sites.allocations AS allocations,
    1.0 * sites.bytes / sites.allocations AS average_bytes
FROM sites LEFT JOIN frames ON frames.id = sites.frame
ORDER BY sites.bytes DESC, sites.bt
LIMIT :limit;
