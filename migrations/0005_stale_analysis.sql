-- A verdict can be asked for again, by another model or with other prompts, without being taken away meanwhile: a
-- post that has one and waits for the next is `done` with a mark, and the machinery of 0004 carries it.
--
--   pending --claim--> pending + lease --finish--> done --reanalyze--> done + mark --claim--> done + mark + lease
--      ^                    |                       ^                      ^                      |
--      +-- fail, postpone --+                       |                      +--- fail, postpone ---+
--                           |                       |                                             |
--                           +--8 failures--> dead   +--finish: the new verdict replaces the old --+
--                                                   +--8 failures: the old verdict stays ---------+
--
-- Attempts, offers, lease and error are those of the judging that is under way, first or second. An edit of the text
-- makes the row pending as before, mark or not. Programs from before this migration take no notice of the mark; a
-- hint for a marked row finds nothing to claim there.
ALTER TABLE post_analysis ADD COLUMN stale_since timestamptz;
-- Not validated, which would read the whole table for a column that is empty in it.
ALTER TABLE post_analysis ADD CONSTRAINT post_analysis_stale_check
    CHECK (stale_since IS NULL OR status = 'done') NOT VALID;

CREATE OR REPLACE FUNCTION posts_await_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_analysis (post_id, revision) VALUES (NEW.id, NEW.revision)
    ON CONFLICT (post_id) DO UPDATE SET
        revision = excluded.revision, status = 'pending', attempts = 0, offers = 0,
        next_enqueue_at = excluded.next_enqueue_at, lease_owner = NULL, lease_until = NULL, error = NULL,
        pending_since = excluded.pending_since, finished_at = NULL, stale_since = NULL,
        polarity = NULL, score = NULL, confidence = NULL, safety = NULL, topics = '{}', explanation = NULL,
        model = NULL, prompt_version = NULL, tokens = NULL;
    RETURN NULL;
END $$;

-- Nobody waits for the verdict on a deleted post, the second as little as the first.
CREATE OR REPLACE FUNCTION posts_drop_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM post_analysis WHERE post_id = NEW.id AND status <> 'done';
    UPDATE post_analysis SET stale_since = NULL, lease_owner = NULL, lease_until = NULL
    WHERE post_id = NEW.id AND stale_since IS NOT NULL;
    RETURN NULL;
END $$;
