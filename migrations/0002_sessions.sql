-- Logins that count. A token is good only while its row is here, so deleting the row (logout, a new password,
-- account deletion) ends the token on every replica with the next request, and losing Redis revives nothing.
CREATE TABLE sessions (
    id         uuid        PRIMARY KEY,
    user_id    bigint      NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

-- "Log this person out everywhere" and the sweep of what has expired.
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);
