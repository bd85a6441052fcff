-- Posts that are not yet in their readers' home timelines. Written with the post by a trigger and deleted by the worker
-- that has brought it there, so that a post waits here whatever dies in between.
CREATE TABLE fanouts (
    post_id bigint PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE
);
CREATE FUNCTION posts_await_fanout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fanouts (post_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER posts_await_fanout AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION posts_await_fanout();
