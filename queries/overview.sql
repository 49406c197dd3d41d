-- # Overview
-- What is in this recording? Totals of the whole run.
--
-- group  recording
-- column duration_ns : ns  length of the recording
-- column allocations : count  blocks made
-- column bytes : bytes  bytes of them
-- column frees : count  blocks freed
-- column live_blocks : count  alive at the end
-- column live_bytes : bytes  bytes of them
-- column peak_bytes : bytes  most bytes alive at once
-- column peak_ns : moment  when that was
-- column threads : count  threads; none where they are not known
-- column sites : count  distinct backtraces
-- view   key_values
SELECT (SELECT value FROM meta WHERE key = 'duration_ns') AS duration_ns,
    sum(allocations) AS allocations, sum(allocated_bytes) AS bytes, sum(frees) AS frees,
    (SELECT live_blocks FROM timeline ORDER BY slice DESC LIMIT 1) AS live_blocks,
    (SELECT live_bytes FROM timeline ORDER BY slice DESC LIMIT 1) AS live_bytes,
    max(peak_bytes) AS peak_bytes,
    (SELECT value FROM meta WHERE key = 'peak_ns') AS peak_ns,
    nullif((SELECT count(*) FROM threads), 0) AS threads, (SELECT count(*) FROM sites) AS sites
FROM timeline;
