-- Replies, reposts, likes, bookmarks, mentions, tags, and what a post said before.
--
-- A repost is a row of posts with `repost_of` and no words of its own: so timelines of every kind are lists of post ids
-- in one order, and one keyset walks them.
ALTER TABLE posts
    ADD COLUMN reply_to  bigint REFERENCES posts (id),
    -- The first post of the conversation; NULL for one that answers nothing.
    ADD COLUMN thread_id bigint REFERENCES posts (id),
    ADD COLUMN repost_of bigint REFERENCES posts (id),
    ADD CONSTRAINT posts_kind_check CHECK (
        (reply_to IS NULL) = (thread_id IS NULL) AND (repost_of IS NULL OR (reply_to IS NULL AND content = ''))
    ) NOT VALID;

-- The public feed has no reposts: each post is in it already. Read from its end, and so not DESC: an index that grows at
-- its end fills its pages, one that grows at its beginning leaves half of each empty, and PostgreSQL then prefers the key.
CREATE INDEX posts_public_idx ON posts (id) WHERE deleted_at IS NULL AND repost_of IS NULL;
DROP INDEX posts_feed_idx;
-- A conversation, oldest first.
CREATE INDEX posts_reply_to_idx ON posts (reply_to, id) WHERE reply_to IS NOT NULL AND deleted_at IS NULL;
-- Nobody reposts a post twice; and all reposts of a post, to go with it when it is deleted.
CREATE UNIQUE INDEX posts_repost_key ON posts (repost_of, user_id) WHERE repost_of IS NOT NULL AND deleted_at IS NULL;

-- The language model reads what has words.
DROP TRIGGER posts_await_analysis_new ON posts;
CREATE TRIGGER posts_await_analysis_new AFTER INSERT ON posts
    FOR EACH ROW WHEN (NEW.repost_of IS NULL) EXECUTE FUNCTION posts_await_analysis();

-- Beside the posts and not in their rows, which many read and an edit locks. A post that nobody has touched has no row.
CREATE TABLE post_counts (
    post_id bigint  PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE,
    likes   integer NOT NULL DEFAULT 0,
    reposts integer NOT NULL DEFAULT 0,
    replies integer NOT NULL DEFAULT 0
);

CREATE TABLE likes (
    post_id    bigint      NOT NULL REFERENCES posts (id),
    user_id    bigint      NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (post_id, user_id)
);
CREATE INDEX likes_user_id_idx ON likes (user_id, post_id DESC);

CREATE FUNCTION likes_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO post_counts AS c (post_id, likes) VALUES (NEW.post_id, 1)
        ON CONFLICT (post_id) DO UPDATE SET likes = c.likes + 1;
    ELSE
        UPDATE post_counts SET likes = likes - 1 WHERE post_id = OLD.post_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER likes_count AFTER INSERT OR DELETE ON likes FOR EACH ROW EXECUTE FUNCTION likes_count();

CREATE FUNCTION posts_count_answers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    step integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO post_counts AS c (post_id, reposts, replies)
    VALUES (coalesce(NEW.repost_of, NEW.reply_to),
            CASE WHEN NEW.repost_of IS NULL THEN 0 ELSE step END,
            CASE WHEN NEW.reply_to IS NULL THEN 0 ELSE step END)
    ON CONFLICT (post_id) DO UPDATE
        SET reposts = c.reposts + excluded.reposts, replies = c.replies + excluded.replies;
    RETURN NULL;
END $$;
CREATE TRIGGER posts_count_answers_new AFTER INSERT ON posts
    FOR EACH ROW WHEN (NEW.reply_to IS NOT NULL OR NEW.repost_of IS NOT NULL) EXECUTE FUNCTION posts_count_answers();
CREATE TRIGGER posts_count_answers_gone AFTER UPDATE OF deleted_at ON posts
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL
                       AND (NEW.reply_to IS NOT NULL OR NEW.repost_of IS NOT NULL AND pg_trigger_depth() = 0))
    EXECUTE FUNCTION posts_count_answers();

-- Reposts go with what they show.
CREATE FUNCTION posts_drop_reposts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    dropped integer;
BEGIN
    UPDATE posts SET deleted_at = NEW.deleted_at WHERE repost_of = NEW.id AND deleted_at IS NULL;
    -- At once: one by one, each would write a version of the same row, and 40,000 of them take longer than a statement may.
    GET DIAGNOSTICS dropped = ROW_COUNT;
    IF dropped > 0 THEN
        UPDATE post_counts SET reposts = reposts - dropped WHERE post_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER posts_drop_reposts AFTER UPDATE OF deleted_at ON posts
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL AND NEW.repost_of IS NULL)
    EXECUTE FUNCTION posts_drop_reposts();

CREATE TABLE bookmarks (
    id         bigint      GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991),
    user_id    bigint      NOT NULL REFERENCES users (id),
    post_id    bigint      NOT NULL REFERENCES posts (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, post_id)
);
CREATE INDEX bookmarks_list_idx ON bookmarks (user_id, id DESC);

-- What a post said before its edits; written by the database, so that no code path can change a text and forget it.
CREATE TABLE post_edits (
    post_id    bigint      NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    revision   integer     NOT NULL,
    content    text        NOT NULL,
    -- When this text was written.
    created_at timestamptz NOT NULL,
    PRIMARY KEY (post_id, revision)
);
CREATE FUNCTION posts_keep_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_edits (post_id, revision, content, created_at)
    VALUES (OLD.id, OLD.revision, OLD.content, OLD.updated_at);
    RETURN NULL;
END $$;
CREATE TRIGGER posts_keep_edit AFTER UPDATE OF content ON posts
    FOR EACH ROW WHEN (OLD.revision <> NEW.revision) EXECUTE FUNCTION posts_keep_edit();

-- @names of people who exist, and #tags in the form they are compared in (NFKC, lower case).
CREATE TABLE post_mentions (
    post_id bigint NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users (id),
    PRIMARY KEY (post_id, user_id)
);
CREATE TABLE post_tags (
    tag        text        NOT NULL,
    post_id    bigint      NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tag, post_id)
);
-- An edit replaces a post's tags.
CREATE INDEX post_tags_post_id_idx ON post_tags (post_id);
-- Trends look at the last hours.
CREATE INDEX post_tags_created_at_idx ON post_tags (created_at);
