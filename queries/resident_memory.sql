-- # Resident memory
-- Resident memory of the process over time, and the part that live blocks explain. The rest is
-- code, stacks, blocks allocated before tracking was enabled, memory that the allocator retains,
-- and the recorder. A share above 1 is memory that was allocated and never touched.
--
-- group  moments
-- param  limit : int = 10000   maximum number of rows
-- column at_ns : moment  time
-- column rss_bytes : bytes  resident memory of the process
-- column live_bytes : bytes  live bytes
-- column live_share : share  live bytes relative to resident memory
-- column unexplained_bytes : bytes  difference
-- column cgroup_bytes : bytes  memory charged to the control group
-- view   time
SELECT at_ns AS at_ns, rss_bytes, live_bytes, 1.0 * live_bytes / max(rss_bytes, 1) AS live_share,
    rss_bytes - live_bytes AS unexplained_bytes, cgroup_bytes
FROM memory_readings
ORDER BY at_ns, rowid
LIMIT :limit;
