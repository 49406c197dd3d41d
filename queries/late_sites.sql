-- # Began late
-- Which call sites made their first block only after a moment? What a change of load, or a slow
-- path, brought.
--
-- group  leaks
-- param  after : time = 10m   only sites that began after this moment
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column first_ns : moment  first allocation
-- column live_bytes : bytes  alive at the end
-- column bytes : bytes  bytes ever made
-- column allocations : count  blocks ever made
-- view   table
SELECT sites.bt AS bt, frames.function AS site,
    sites.first_ns AS first_ns,
    sites.live_bytes AS live_bytes,
    sites.bytes AS bytes,
    sites.allocations AS allocations
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.first_ns > :after
ORDER BY live_bytes DESC, bytes DESC, sites.bt
LIMIT :limit;
