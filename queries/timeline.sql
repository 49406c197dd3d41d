-- # The heap over time
-- The heap by time slice. never_freed_bytes is the part of the live bytes that is live at the end
-- of the recording.
--
-- group  moments
-- column from_ns : moment  beginning of the slice
-- column live_bytes : bytes  bytes live at its end
-- column live_blocks : count  blocks live at its end
-- column never_freed_bytes : bytes  bytes allocated before its end that are live at the end of the recording
-- column change_bytes : bytes  change of live bytes in the slice
-- column peak_bytes : bytes  most live bytes in it
-- column allocations : count  allocations in it
-- column frees : count  frees in it
-- column allocations_per_s : per second  allocations per second
-- view   time
SELECT from_ns, live_bytes, live_blocks, never_freed_bytes,
    live_bytes - lag(live_bytes, 1, 0) OVER (ORDER BY slice) AS change_bytes,
    peak_bytes, allocations, frees,
    CASE WHEN to_ns > from_ns THEN allocations * 1e9 / (to_ns - from_ns) END AS allocations_per_s
FROM timeline
ORDER BY slice;
