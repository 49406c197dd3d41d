-- # Sizes
-- Allocations by power of two of their size.
--
-- group  volume
-- param  bt : int =    only this backtrace
-- column up_to_bytes : bytes  upper bound of the sizes, twice the lower bound
-- column allocations : count  number of allocations
-- column bytes : bytes  their bytes
-- column live_blocks : count  blocks live at the end
-- column live_bytes : bytes  their bytes
-- view   histogram
-- The bounds are compared, because SQLite 3.40 may lack log2. Blocks of 0 bytes are in the first row.
-- No row of `sizes` spans a power of two; CROSS JOIN makes each power search its own range in order.
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
