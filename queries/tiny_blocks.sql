-- # Tiny blocks
-- Which call sites make many blocks that are mostly smaller than what the allocator adds to them?
-- Candidates for an arena, inline storage or a bigger unit.
--
-- group  volume
-- param  size : bytes = 16   average at most
-- param  permille : int = 5   at least so many thousandths of all blocks
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column allocations : count  blocks made
-- column average_bytes : bytes  a block's average size
-- column live_blocks : count  alive at the end
-- view   table
SELECT sites.bt AS bt, frames.function AS site,
    sites.allocations AS allocations,
    1.0 * sites.bytes / sites.allocations AS average_bytes,
    sites.live_blocks AS live_blocks
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.bytes <= :size * sites.allocations
    AND sites.allocations * 1000 >= :permille * (SELECT sum(allocations) FROM sites)
ORDER BY sites.allocations DESC, sites.bt
LIMIT :limit;
