-- Posts. `revision` counts the texts a post has had: a verdict belongs to one revision and never to a later one.
-- It is the database that counts, so that no code path can change a text and forget it.
CREATE TABLE posts (
    id         bigint      GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991) PRIMARY KEY,
    user_id    bigint      NOT NULL REFERENCES users (id),
    content    text        NOT NULL,
    revision   integer     NOT NULL DEFAULT 1,
    -- The request that wrote this revision; a job offered again hours later still carries it in its log lines.
    request_id text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

-- The feed: newest first, keyset on id.
CREATE INDEX posts_feed_idx ON posts (id DESC) WHERE deleted_at IS NULL;
-- One person's posts, and their removal with the account.
CREATE INDEX posts_user_id_idx ON posts (user_id, id DESC) WHERE deleted_at IS NULL;

CREATE FUNCTION posts_count_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    NEW.updated_at := now();
    RETURN NEW;
END $$;

CREATE TRIGGER posts_count_revision BEFORE UPDATE OF content ON posts
    FOR EACH ROW WHEN (OLD.content IS DISTINCT FROM NEW.content)
    EXECUTE FUNCTION posts_count_revision();
