-- # Suspects
-- Probable leaks, most suspicious first. Sites are grouped by cause, and ranked by live bytes, steadiness
-- and recency.
--
-- group  leaks
-- param  limit : int = 50   maximum number of rows
-- column rank
-- column label  kind of leak
-- column sentence  finding in one sentence
-- column bt : backtrace  backtrace with most live bytes
-- column live_bytes : bytes  bytes live at the end
-- column live_blocks : count  blocks live at the end
-- column live_share : share  share of all bytes live at the end
-- column slope_bytes_per_s : bytes/s  growth in the second half of the recording
-- column fit  R² of the growth line, 0 to 1
-- column score  score of the ranking
-- view   flame
SELECT id AS rank, label, sentence, bt, live_bytes, live_blocks, live_share, slope_bytes_per_s, fit, score
FROM suspects
ORDER BY id
LIMIT :limit;
