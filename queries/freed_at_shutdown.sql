-- # Freed only at shutdown
-- Which call sites freed blocks only in the last 2 % of the run, after a life of at least 2 % of
-- it? Leak checkers see nothing here, and the memory was held all the same.
--
-- group  leaks
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column freed_at_end_bytes : bytes  bytes of such blocks
-- column freed_at_end_blocks : count  how many
-- column allocations : count  blocks made here
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.freed_at_end_bytes AS freed_at_end_bytes,
    sites.freed_at_end_blocks AS freed_at_end_blocks,
    sites.allocations AS allocations
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.freed_at_end_blocks > 0
ORDER BY freed_at_end_bytes DESC, sites.bt
LIMIT :limit;
