-- Who people are and what they are to each other.
ALTER TABLE users
    ADD COLUMN display_name text NOT NULL DEFAULT '' CHECK (char_length(display_name) <= 50),
    ADD COLUMN bio          text NOT NULL DEFAULT '' CHECK (char_length(bio) <= 300);

-- What the browser called itself at login, so that its owner knows one session from another.
ALTER TABLE sessions ADD COLUMN user_agent text NOT NULL DEFAULT '';

CREATE TABLE follows (
    follower_id bigint      NOT NULL REFERENCES users (id),
    followed_id bigint      NOT NULL REFERENCES users (id),
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (follower_id, followed_id),
    CHECK (follower_id <> followed_id)
);
-- Followers of somebody: the list, and whom a post is fanned out to.
CREATE INDEX follows_followed_id_idx ON follows (followed_id, follower_id);

-- Counted as they change, because counting 100,000 followers at each look is not affordable. A table of its own: an
-- account's row stays out of it, and a popular account's row is locked only for the moment of a follow.
CREATE TABLE user_counts (
    user_id   bigint  PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    followers integer NOT NULL DEFAULT 0,
    followed  integer NOT NULL DEFAULT 0,
    -- Too many followers to fan out to; posts are merged into home timelines when those are read. It stays set.
    is_large  boolean NOT NULL DEFAULT false
);
-- The few large accounts, looked through at every read of a home timeline.
CREATE INDEX user_counts_large_idx ON user_counts (user_id) WHERE is_large;

-- Once per statement and not per row: an account that goes takes all its followers with it in one statement, and a
-- hundred thousand changes of its one row within a transaction would each walk through all before it.
CREATE FUNCTION follows_count() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    step integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    -- The smaller id first, always: two people who follow each other at once would otherwise wait for one another.
    INSERT INTO user_counts AS c (user_id, followers, followed)
    SELECT side.id, sum(side.followers), sum(side.followed)
    FROM (SELECT follower_id AS id, 0 AS followers, step AS followed FROM changed
          UNION ALL SELECT followed_id, step, 0 FROM changed) AS side
    GROUP BY side.id
    ORDER BY side.id
    ON CONFLICT (user_id) DO UPDATE
        SET followers = c.followers + excluded.followers, followed = c.followed + excluded.followed;
    RETURN NULL;
END $$;
CREATE TRIGGER follows_count_new AFTER INSERT ON follows REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION follows_count();
CREATE TRIGGER follows_count_gone AFTER DELETE ON follows REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION follows_count();

-- A blocked person sees and reaches nothing of the blocker's, and the blocker sees nothing of theirs.
CREATE TABLE blocks (
    blocker_id bigint      NOT NULL REFERENCES users (id),
    blocked_id bigint      NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (blocker_id, blocked_id),
    CHECK (blocker_id <> blocked_id)
);
CREATE INDEX blocks_blocked_id_idx ON blocks (blocked_id, blocker_id);

-- A muted person does not know; the muter's feed, home timeline and notifications are without them.
CREATE TABLE mutes (
    muter_id   bigint      NOT NULL REFERENCES users (id),
    muted_id   bigint      NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (muter_id, muted_id),
    CHECK (muter_id <> muted_id)
);
CREATE INDEX mutes_muted_id_idx ON mutes (muted_id);
