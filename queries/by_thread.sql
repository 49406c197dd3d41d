-- # By thread
-- Which threads made the memory, and whose is alive?
--
-- group  places
-- column thread : thread  number in the recording
-- column name  its name
-- column live_bytes : bytes  made by it and alive at the end
-- column live_blocks : count  how many
-- column bytes : bytes  bytes it ever made
-- column allocations : count  blocks it ever made
-- column frees : count  blocks it freed, whoever made them
-- column last_ns : moment  its last event
-- view   table
SELECT id AS thread, name, live_bytes, live_blocks, bytes, allocations, frees, last_ns
FROM threads
ORDER BY live_bytes DESC, bytes DESC, id;
