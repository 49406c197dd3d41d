-- # Which thread frees whose blocks
-- Freed blocks by allocating and freeing thread.
--
-- group  places
-- param  thread : thread =    only blocks allocated by this thread: id or name
-- param  limit : int = 50   maximum number of rows
-- column alloc_thread : thread  allocating thread
-- column dealloc_thread : thread  freeing thread
-- column alloc_name  name of the allocating thread
-- column dealloc_name  name of the freeing thread
-- column blocks : count  number of blocks
-- column bytes : bytes  their bytes
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
