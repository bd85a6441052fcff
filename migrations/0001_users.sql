-- People. A deleted account keeps its row (posts refer to it) but gives its name back, hence the partial index;
-- lower() makes "Ada" and "ada" one name. Ids stay below 2^53 so that a JSON number is exact in a browser.
CREATE TABLE users (
    id            bigint      GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991) PRIMARY KEY,
    username      text        NOT NULL,
    -- argon2id in PHC form, or bcrypt `$2…` from the Node service until its owner logs in once.
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz
);

CREATE UNIQUE INDEX users_username_key ON users (lower(username)) WHERE deleted_at IS NULL;
