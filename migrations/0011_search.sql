-- Full text. 'simple' and no language: posts come in all of them, and a stemmer of the wrong one hides words.
CREATE INDEX posts_search_idx ON posts USING gin (to_tsvector('simple', content))
    WHERE deleted_at IS NULL AND repost_of IS NULL;
CREATE INDEX users_search_idx ON users USING gin (to_tsvector('simple', username || ' ' || display_name || ' ' || bio))
    WHERE deleted_at IS NULL;
-- Names that begin with what was typed.
CREATE INDEX users_prefix_idx ON users (lower(username) text_pattern_ops) WHERE deleted_at IS NULL;
