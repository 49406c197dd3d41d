-- # Began late
-- Sites whose first allocation was after a moment, such as the effect of a change of load or of a
-- slow path.
--
-- group  leaks
-- param  after : time = 10m   only sites whose first allocation is after this moment
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column first_ns : moment  time of the first allocation
-- column live_bytes : bytes  bytes live at the end
-- column bytes : bytes  allocated bytes
-- column allocations : count  number of allocations
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
