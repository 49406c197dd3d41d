-- # Which thread frees whose blocks
-- Who makes, who frees? One row for each pair of threads. Reads every allocation.
--
-- group  places
-- param  thread : thread =    only blocks that this thread made: its number or its name
-- param  limit : int = 50   most rows
-- column alloc_thread : thread  made by
-- column dealloc_thread : thread  freed by
-- column alloc_name  name of the first
-- column dealloc_name  name of the second
-- column blocks : count  blocks
-- column bytes : bytes  bytes of them
-- view   table
SELECT a.alloc_thread AS alloc_thread, a.dealloc_thread AS dealloc_thread, maker.name AS alloc_name,
    freer.name AS dealloc_name, a.blocks AS blocks, a.bytes AS bytes
FROM (
    SELECT alloc_thread, dealloc_thread, count(*) AS blocks, sum(size) AS bytes
    FROM allocations
    WHERE dealloc_thread IS NOT NULL AND dealloc_thread <> alloc_thread
    GROUP BY alloc_thread, dealloc_thread
) a
LEFT JOIN threads maker ON maker.id = a.alloc_thread
LEFT JOIN threads freer ON freer.id = a.dealloc_thread
WHERE :thread IS NULL OR a.alloc_thread = :thread OR maker.name = :thread
ORDER BY blocks DESC, a.alloc_thread, a.dealloc_thread
LIMIT :limit;
