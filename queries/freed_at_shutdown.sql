-- # Freed only at shutdown
-- Sites that freed blocks in the last 2 % of the recording after a lifetime of at least 2 % of it.
-- Leak checkers do not report this memory, although the program held it until the end.
--
-- group  leaks
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column freed_at_end_bytes : bytes  bytes of these blocks
-- column freed_at_end_blocks : count  number of these blocks
-- column allocations : count  number of allocations
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.freed_at_end_bytes AS freed_at_end_bytes,
    sites.freed_at_end_blocks AS freed_at_end_blocks,
    sites.allocations AS allocations
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.freed_at_end_blocks > 0
ORDER BY freed_at_end_bytes DESC, sites.bt
LIMIT :limit;
