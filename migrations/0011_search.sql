-- Full text. 'simple' and no language: posts come in all of them, and a stemmer of the wrong one hides words.
CREATE INDEX posts_search_idx ON posts USING gin (to_tsvector('simple', content))
    WHERE deleted_at IS NULL AND repost_of IS NULL;
CREATE INDEX users_search_idx ON users USING gin (to_tsvector('simple', username || ' ' || display_name || ' ' || bio))
    WHERE deleted_at IS NULL;
-- Names that begin with what was typed.
CREATE INDEX users_prefix_idx ON users (lower(username) text_pattern_ops) WHERE deleted_at IS NULL;
-- How common a word is decides how it is looked for: a rare one in the index above, a common one from the newest post
-- down until there are enough. The planner makes no use of what is known of a partial index's expression, so that is
-- gathered here, and there no more.
CREATE STATISTICS posts_search_stats ON (to_tsvector('simple', content)) FROM posts;
ALTER INDEX posts_search_idx ALTER COLUMN 1 SET STATISTICS 0;
CREATE STATISTICS users_search_stats ON (to_tsvector('simple', username || ' ' || display_name || ' ' || bio)) FROM users;
ALTER INDEX users_search_idx ALTER COLUMN 1 SET STATISTICS 0;
