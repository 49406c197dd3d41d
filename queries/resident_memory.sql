-- # Resident memory
-- How much memory did the process have, and how much of it do blocks explain that were made since
-- recording began? What they don't: code, stacks, what was made before, what the allocator keeps,
-- the recorder. A share above 1 is memory that was asked for and never touched.
--
-- group  moments
-- param  limit : int = 10000   most rows
-- column at_ns : moment  when
-- column rss_bytes : bytes  resident memory of the process
-- column live_bytes : bytes  alive on the recorded heap
-- column live_share : share  live bytes of resident ones
-- column unexplained_bytes : bytes  the difference
-- column cgroup_bytes : bytes  what the control group is charged with
-- view   time
SELECT at_ns AS at_ns, rss_bytes, live_bytes, 1.0 * live_bytes / max(rss_bytes, 1) AS live_share,
    rss_bytes - live_bytes AS unexplained_bytes, cgroup_bytes
FROM memory_readings
ORDER BY at_ns, rowid
LIMIT :limit;
