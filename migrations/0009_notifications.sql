-- What somebody did that concerns somebody else; written in the transaction of the deed.
CREATE TABLE notifications (
    id         bigint      GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991) PRIMARY KEY,
    user_id    bigint      NOT NULL REFERENCES users (id),
    kind       text        NOT NULL CHECK (kind IN ('reply', 'mention', 'like', 'repost', 'follow')),
    actor_id   bigint      NOT NULL REFERENCES users (id),
    -- The reply, the mentioning post, or one's own post that was liked or reposted.
    post_id    bigint      REFERENCES posts (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    read_at    timestamptz
);
CREATE INDEX notifications_list_idx ON notifications (user_id, id DESC);
CREATE INDEX notifications_unread_idx ON notifications (user_id) WHERE read_at IS NULL;
-- Liking, unliking and liking again tells once.
CREATE UNIQUE INDEX notifications_once_key ON notifications (user_id, actor_id, kind, coalesce(post_id, 0));
-- What an account that goes has caused goes with it.
CREATE INDEX notifications_actor_id_idx ON notifications (actor_id);
