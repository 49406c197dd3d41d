-- # The run over time
-- How did the heap develop? One row a slice of the run; the second curve, never_freed_bytes, is
-- what of it would still be alive at the end.
--
-- group  moments
-- column from_ns : moment  beginning of the slice
-- column live_bytes : bytes  alive at its end
-- column live_blocks : count  alive at its end
-- column never_freed_bytes : bytes  made up to its end and alive at the end of the recording
-- column change_bytes : bytes  live bytes since the slice before
-- column peak_bytes : bytes  most alive in it
-- column allocations : count  made in it
-- column frees : count  freed in it
-- column allocations_per_s : per second  rate
-- view   time
SELECT from_ns, live_bytes, live_blocks, never_freed_bytes,
    live_bytes - lag(live_bytes, 1, 0) OVER (ORDER BY slice) AS change_bytes,
    peak_bytes, allocations, frees,
    CASE WHEN to_ns > from_ns THEN allocations * 1e9 / (to_ns - from_ns) END AS allocations_per_s
FROM timeline
ORDER BY slice;
