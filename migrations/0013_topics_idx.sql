-- The posts about a topic. A common topic is found by walking down from the newest post, a rare one here.
CREATE INDEX post_analysis_topics_idx ON post_analysis USING gin (topics) WHERE status = 'done';
