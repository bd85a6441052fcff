-- When what the workers compute now and then was last computed, so that any number of them do it as often as one.
CREATE TABLE schedules (
    job    text        PRIMARY KEY,
    ran_at timestamptz NOT NULL
);
