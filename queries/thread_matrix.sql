-- # Which thread frees whose blocks
-- Who makes, who frees? One row for each pair of threads.
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
SELECT pair.alloc_thread AS alloc_thread, pair.dealloc_thread AS dealloc_thread,
    maker.name AS alloc_name, freer.name AS dealloc_name, pair.blocks AS blocks, pair.bytes AS bytes
FROM thread_pairs pair
LEFT JOIN threads maker ON maker.id = pair.alloc_thread
LEFT JOIN threads freer ON freer.id = pair.dealloc_thread
WHERE pair.dealloc_thread <> pair.alloc_thread
    AND (:thread IS NULL OR pair.alloc_thread = :thread OR maker.name = :thread)
ORDER BY pair.blocks DESC, pair.alloc_thread, pair.dealloc_thread
LIMIT :limit;
