-- # Sizes
-- How large are the blocks? One row for each power of two. Reads every allocation.
--
-- group  volume
-- param  bt : int =    only this backtrace
-- column up_to_bytes : bytes  sizes above half of this, up to this
-- column allocations : count  blocks made
-- column bytes : bytes  bytes of them
-- column live_blocks : count  alive at the end
-- column live_bytes : bytes  bytes of them
-- view   histogram
-- Bits by comparison, as SQLite has no logarithm of its own. A block of 0 bytes is in the first row.
WITH RECURSIVE powers(p) AS (SELECT 1 UNION ALL SELECT p * 2 FROM powers WHERE p < 1 << 50),
sizes(size, allocations, live_blocks) AS (
    SELECT size, count(*), count(*) - count(dealloc_after)
    FROM allocations WHERE :bt IS NULL OR bt = :bt
    GROUP BY size
)
SELECT p AS up_to_bytes, sum(allocations) AS allocations, sum(size * allocations) AS bytes,
    sum(live_blocks) AS live_blocks, sum(size * live_blocks) AS live_bytes
FROM powers JOIN sizes ON (size <= p AND (size > p / 2 OR p = 1))
GROUP BY p
ORDER BY p;
