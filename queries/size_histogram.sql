-- # Sizes
-- How large are the blocks? One row for each power of two.
--
-- group  volume
-- param  bt : int =    only this backtrace
-- column up_to_bytes : bytes  sizes above half of this, up to this
-- column allocations : count  blocks made
-- column bytes : bytes  bytes of them
-- column live_blocks : count  alive at the end
-- column live_bytes : bytes  bytes of them
-- view   histogram
-- Bounds by comparison, as SQLite has no logarithm of its own. A block of 0 bytes is in the first row.
-- No row of `sizes` reaches over a power of two; CROSS JOIN has each power look for its own in order.
WITH RECURSIVE powers(above, p) AS (
    SELECT -1, 1
    UNION ALL
    SELECT p, p * 2 FROM powers WHERE p < 1 << 62
)
SELECT p AS up_to_bytes, sum(allocations) AS allocations, sum(bytes) AS bytes,
    sum(live_blocks) AS live_blocks, sum(live_bytes) AS live_bytes
FROM powers CROSS JOIN sizes ON size > above AND size <= p
WHERE :bt IS NULL
GROUP BY p
UNION ALL
SELECT up_to_bytes, allocations, bytes, live_blocks, live_bytes FROM site_sizes WHERE bt = :bt
ORDER BY up_to_bytes;
