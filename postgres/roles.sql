-- Roles, the database and its rights, for psql as a superuser; the same words do for a new cluster and for one that has
-- them. The psql variables owner, app and monitor hold the passwords.
--
-- The owner changes tables and is used by `api migrate` only. The programs work as linnet_app, which can read and write
-- rows and nothing else: a fault in one of them cannot drop a table.
SELECT 'CREATE ROLE linnet_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linnet_owner') \gexec
SELECT 'CREATE ROLE linnet_app' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linnet_app') \gexec
ALTER ROLE linnet_owner LOGIN PASSWORD :'owner';
ALTER ROLE linnet_app LOGIN PASSWORD :'app';
-- A transaction that its program has forgotten would hold its locks for ever.
ALTER ROLE linnet_app SET idle_in_transaction_session_timeout = '60s';
SELECT 'CREATE ROLE linnet_monitor' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linnet_monitor') \gexec
-- The exporter's: it may see what the server counts, and no row of a table.
ALTER ROLE linnet_monitor LOGIN PASSWORD :'monitor' CONNECTION LIMIT 5;
ALTER ROLE linnet_monitor SET default_transaction_read_only = on;
ALTER ROLE linnet_monitor SET statement_timeout = '4s';
GRANT pg_monitor TO linnet_monitor;
SELECT 'CREATE DATABASE linnet OWNER linnet_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'linnet') \gexec
REVOKE ALL ON DATABASE linnet FROM PUBLIC;
GRANT CONNECT ON DATABASE linnet TO linnet_app, linnet_monitor;
\connect linnet
GRANT USAGE ON SCHEMA public TO linnet_app;
-- Holds for every table that a later migration makes.
ALTER DEFAULT PRIVILEGES FOR ROLE linnet_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO linnet_app;
ALTER DEFAULT PRIVILEGES FOR ROLE linnet_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO linnet_app;
