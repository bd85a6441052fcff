-- The number of the newest migration that a program must know to work with this schema. Programs look at it in /readyz. A
-- migration that takes away what older ones still use raises it in the same transaction (docs/operations.md), and those
-- then say that they are too old, where they would fail call by call.
CREATE TABLE schema_floor (
    level    bigint  NOT NULL,
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO schema_floor (level) VALUES (16);
