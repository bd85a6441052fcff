-- What the last hours were about, computed by the workers now and then: readers need not group thousands of rows.
CREATE TABLE trends (
    kind        text        NOT NULL CHECK (kind IN ('tag', 'topic')),
    name        text        NOT NULL,
    posts       integer     NOT NULL,
    -- Distinct authors, by which trends are ranked: one person's hundred posts are no trend.
    people      integer     NOT NULL,
    computed_at timestamptz NOT NULL,
    PRIMARY KEY (kind, name)
);
-- Topics of the last hours.
CREATE INDEX post_analysis_finished_at_idx ON post_analysis (finished_at) WHERE status = 'done';

-- A person's own figures, computed by the workers.
CREATE TABLE user_insights (
    user_id     bigint      PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    computed_at timestamptz NOT NULL,
    data        jsonb       NOT NULL
);
