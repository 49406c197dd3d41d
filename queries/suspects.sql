-- # Suspects
-- What leaks, most suspicious first? Sites are grouped by their first own frame outwards and
-- ranked by leaked bytes, steadiness and recency.
--
-- group  leaks
-- param  limit : int = 50   most rows
-- column rank
-- column label  what kind of leak
-- column sentence  the finding
-- column bt : backtrace  its heaviest backtrace
-- column live_bytes : bytes  alive at the end
-- column live_blocks : count  alive at the end
-- column live_share : share  of all bytes alive at the end
-- column slope_bytes_per_s : bytes/s  growth over the second half
-- column fit  R² of that line, 0 to 1
-- column score  what it is ranked by
-- view   flame
SELECT id AS rank, label, sentence, bt, live_bytes, live_blocks, live_share, slope_bytes_per_s, fit, score
FROM suspects
ORDER BY id
LIMIT :limit;
