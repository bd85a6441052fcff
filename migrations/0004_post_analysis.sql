-- What the language model thinks of a post, and the state of asking it. PostgreSQL is the truth of this queue;
-- the one in Redis only makes it fast. A row is written by a trigger in the post's own transaction, so there is
-- no acknowledged post without one.
--
--   pending --claim--> pending + lease --finish--> done
--      ^                    |
--      +-- fail, postpone --+--8 real failures--> dead (visible, counted, can be offered again)
CREATE TABLE post_analysis (
    post_id         bigint      PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE,
    revision        integer     NOT NULL,
    status          text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'done', 'dead')),
    -- Failures that count: the model was reached and did not judge. That it was down does not count.
    attempts        integer     NOT NULL DEFAULT 0,
    -- How often the sweeper has offered this row; its back-off grows with it.
    offers          integer     NOT NULL DEFAULT 0,
    -- When the sweeper may offer it. The first time is a grace for the hint the API itself pushes.
    next_enqueue_at timestamptz NOT NULL DEFAULT now() + interval '5 seconds',
    lease_owner     text,
    lease_until     timestamptz,
    error           text,
    pending_since   timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,

    polarity        text        CHECK (polarity IN ('positive', 'neutral', 'negative')),
    score           real        CHECK (score BETWEEN -1 AND 1),
    confidence      real        CHECK (confidence BETWEEN 0 AND 1),
    safety          text        CHECK (safety IN ('ok', 'dangerous')),
    topics          text[]      NOT NULL DEFAULT '{}',
    explanation     text        CHECK (char_length(explanation) <= 200),
    model           text,
    prompt_version  text,
    tokens          integer,

    CHECK (status <> 'done' OR num_nulls(polarity, score, confidence, safety, explanation, model, finished_at) = 0)
);

-- The sweeper's question, and the depth of the queue.
CREATE INDEX post_analysis_due_idx ON post_analysis (next_enqueue_at) WHERE status = 'pending';
-- The oldest waiting post, a gauge that is read every few seconds.
CREATE INDEX post_analysis_pending_since_idx ON post_analysis (pending_since) WHERE status = 'pending';
-- Dead rows are few and are counted often.
CREATE INDEX post_analysis_dead_idx ON post_analysis (post_id) WHERE status = 'dead';

CREATE FUNCTION posts_await_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_analysis (post_id, revision) VALUES (NEW.id, NEW.revision)
    ON CONFLICT (post_id) DO UPDATE SET
        revision = excluded.revision, status = 'pending', attempts = 0, offers = 0,
        next_enqueue_at = excluded.next_enqueue_at, lease_owner = NULL, lease_until = NULL, error = NULL,
        pending_since = excluded.pending_since, finished_at = NULL,
        polarity = NULL, score = NULL, confidence = NULL, safety = NULL, topics = '{}', explanation = NULL,
        model = NULL, prompt_version = NULL, tokens = NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER posts_await_analysis_new AFTER INSERT ON posts
    FOR EACH ROW EXECUTE FUNCTION posts_await_analysis();
CREATE TRIGGER posts_await_analysis_edited AFTER UPDATE OF content ON posts
    FOR EACH ROW WHEN (OLD.revision <> NEW.revision) EXECUTE FUNCTION posts_await_analysis();

-- Nobody waits for the verdict on a deleted post.
CREATE FUNCTION posts_drop_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM post_analysis WHERE post_id = NEW.id AND status <> 'done';
    RETURN NULL;
END $$;

CREATE TRIGGER posts_drop_analysis AFTER UPDATE OF deleted_at ON posts
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION posts_drop_analysis();
