-- What the last hours were about, computed by the workers now and then: readers need not group thousands of rows.
CREATE TABLE trends (
    kind        text        NOT NULL CHECK (kind IN ('tag', 'topic')),
    name        text        NOT NULL,
    posts       integer     NOT NULL,
    -- Distinct authors, by which trends are ranked: one person's hundred posts are no trend.
    people      integer     NOT NULL,
    -- 1 is the strongest of its kind.
    place       smallint    NOT NULL,
    PRIMARY KEY (kind, name)
);
-- Topics of the last hours.
CREATE INDEX post_analysis_finished_at_idx ON post_analysis (finished_at) WHERE status = 'done';

-- A person's own figures, computed by the workers.
CREATE TABLE user_insights (
    user_id     bigint      PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- When they are to be computed again.
    due_at      timestamptz NOT NULL,
    -- NULL while they have not been computed for the first time.
    computed_at timestamptz,
    data        jsonb,
    CHECK ((computed_at IS NULL) = (data IS NULL))
);
CREATE INDEX user_insights_due_at_idx ON user_insights (due_at);
