-- # By function
-- Functions of the program by bytes live at the peak, allocated bytes, live bytes or temporary blocks.
-- A site belongs to its first own function; without any, to the first function of a dependency.
--
-- group  places
-- param  measure : text = peak   order by peak, bytes, live or temporary
-- param  limit : int = 50   maximum number of rows
-- column function  function
-- column kind  kind of its code
-- column crate  crate of the function
-- column at_peak_bytes : bytes  bytes live at the peak
-- column peak_share : share  share of all bytes live at the peak
-- column bytes : bytes  allocated bytes
-- column bytes_share : share  share of all allocated bytes
-- column live_bytes : bytes  bytes live at the end
-- column live_share : share  share of all bytes live at the end
-- column allocations : count  number of allocations
-- column temporary : count  temporary blocks
-- column sites : count  number of sites
-- view   table
WITH whole AS (
    SELECT nullif(sum(at_peak_bytes), 0) AS at_peak_bytes, nullif(sum(bytes), 0) AS bytes,
        nullif(sum(live_bytes), 0) AS live_bytes
    FROM sites
)
SELECT frames.function AS function, frames.kind AS kind, frames.crate AS crate,
    functions.at_peak_bytes AS at_peak_bytes,
    1.0 * functions.at_peak_bytes / whole.at_peak_bytes AS peak_share,
    functions.bytes AS bytes, 1.0 * functions.bytes / whole.bytes AS bytes_share,
    functions.live_bytes AS live_bytes, 1.0 * functions.live_bytes / whole.live_bytes AS live_share,
    functions.allocations AS allocations, functions.temporary AS temporary, functions.sites AS sites
FROM functions JOIN frames ON frames.id = functions.frame CROSS JOIN whole
ORDER BY CASE :measure WHEN 'bytes' THEN functions.bytes WHEN 'live' THEN functions.live_bytes
    WHEN 'temporary' THEN functions.temporary ELSE functions.at_peak_bytes END DESC,
    functions.bytes DESC, frames.sym
LIMIT :limit;
