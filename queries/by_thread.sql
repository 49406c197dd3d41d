-- # By thread
-- Allocations, frees and live memory by thread.
--
-- group  places
-- column thread : thread  id of the thread in the recording
-- column name  name
-- column live_bytes : bytes  bytes allocated by the thread and live at the end
-- column live_blocks : count  number of these blocks
-- column bytes : bytes  bytes allocated by the thread
-- column allocations : count  allocations of the thread
-- column frees : count  blocks freed by the thread, whichever thread allocated them
-- column last_ns : moment  time of its last event
-- view   table
SELECT id AS thread, name, live_bytes, live_blocks, bytes, allocations, frees, last_ns
FROM threads
ORDER BY live_bytes DESC, bytes DESC, id;
