-- The sweeper's other question, and how many wait. In a migration of its own: building it reads the whole table, and in
-- that of the column the table would be closed to readers meanwhile; here only verdicts wait.
CREATE INDEX post_analysis_stale_idx ON post_analysis (next_enqueue_at) WHERE stale_since IS NOT NULL;
