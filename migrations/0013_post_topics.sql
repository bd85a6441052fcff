-- The posts about a topic, in their order, as post_tags has those with a tag. Not an index on the verdicts' lists of topics:
-- it knows no order, and PostgreSQL would sort a fifth of all posts for a common topic, or read all of them in search of
-- one that nobody has heard of. Written by the database along with the verdict, so that no code path can forget it.
CREATE TABLE post_topics (
    topic   text   NOT NULL,
    -- Of post_analysis, whose rows take these with them.
    post_id bigint NOT NULL,
    PRIMARY KEY (topic, post_id)
);
CREATE FUNCTION post_analysis_list_topics() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM post_topics WHERE topic = ANY (OLD.topics) AND post_id = OLD.post_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO post_topics (topic, post_id) SELECT DISTINCT topic, NEW.post_id FROM unnest(NEW.topics) AS topic;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER post_analysis_list_topics_new AFTER INSERT ON post_analysis
    FOR EACH ROW WHEN (NEW.topics <> '{}') EXECUTE FUNCTION post_analysis_list_topics();
CREATE TRIGGER post_analysis_list_topics_changed AFTER UPDATE OF topics ON post_analysis
    FOR EACH ROW WHEN (OLD.topics <> NEW.topics) EXECUTE FUNCTION post_analysis_list_topics();
CREATE TRIGGER post_analysis_list_topics_gone AFTER DELETE ON post_analysis
    FOR EACH ROW WHEN (OLD.topics <> '{}') EXECUTE FUNCTION post_analysis_list_topics();
INSERT INTO post_topics (topic, post_id) SELECT DISTINCT topic, post_id FROM post_analysis, unnest(topics) AS topic;
