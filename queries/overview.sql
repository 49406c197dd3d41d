-- # Overview
-- Totals of the recording.
--
-- group  recording
-- column duration_ns : ns  duration of the recording
-- column allocations : count  number of allocations
-- column bytes : bytes  their bytes
-- column frees : count  freed blocks
-- column live_blocks : count  blocks live at the end
-- column live_bytes : bytes  their bytes
-- column peak_bytes : bytes  most live bytes
-- column peak_ns : moment  time of that peak
-- column threads : count  number of threads; NULL: unknown
-- column sites : count  number of distinct backtraces
-- view   key_values
SELECT (SELECT value FROM meta WHERE key = 'duration_ns') AS duration_ns,
    sum(allocations) AS allocations, sum(allocated_bytes) AS bytes, sum(frees) AS frees,
    (SELECT live_blocks FROM timeline ORDER BY slice DESC LIMIT 1) AS live_blocks,
    (SELECT live_bytes FROM timeline ORDER BY slice DESC LIMIT 1) AS live_bytes,
    max(peak_bytes) AS peak_bytes,
    (SELECT value FROM meta WHERE key = 'peak_ns') AS peak_ns,
    nullif((SELECT count(*) FROM threads), 0) AS threads, (SELECT count(*) FROM sites) AS sites
FROM timeline;
