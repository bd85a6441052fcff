-- PostgreSQL looks at a table when some fifty rows have changed, and until then guesses: that one account in two hundred
-- is not deleted, for one. With three people and 200,000 posts that guess turned the feed from the newest hundred posts
-- into all of them, sorted (0.5 s instead of 5 ms), for as long as fewer than fifty people had signed up.
ALTER TABLE users SET (autovacuum_analyze_threshold = 1);
