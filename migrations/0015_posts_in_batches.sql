-- Posts that arrive together are written by one statement. What must be written with them was written row by row, and
-- cost more than the posts themselves; now it is one statement for all of them, and no dearer for a single one.
CREATE FUNCTION posts_await_analysis_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_analysis (post_id, revision) SELECT id, revision FROM written WHERE repost_of IS NULL;
    RETURN NULL;
END $$;
DROP TRIGGER posts_await_analysis_new ON posts;
CREATE TRIGGER posts_await_analysis_new AFTER INSERT ON posts REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION posts_await_analysis_new();

CREATE OR REPLACE FUNCTION posts_await_fanout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fanouts (post_id) SELECT id FROM written;
    RETURN NULL;
END $$;
DROP TRIGGER posts_await_fanout ON posts;
CREATE TRIGGER posts_await_fanout AFTER INSERT ON posts REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION posts_await_fanout();
