-- The long-term log: what the programs write to their standard output, kept where `api logs` finds it again (LOG_STORE). A
-- table for each day, UTC, so that old days go as whole tables: deleting rows would leave their room behind and cost as
-- much as writing them did.
CREATE TABLE log_records (
    -- In the order of arrival, which is not that of time: who follows the log must not miss what came late.
    id         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    time       timestamptz NOT NULL,
    -- bunyan's: 10 trace, 20 debug, 30 info, 40 warn, 50 error.
    level      smallint    NOT NULL,
    service    text        NOT NULL,
    request_id text,
    route      text,
    status     smallint,
    -- The whole line. Not jsonb, which refuses \u0000 and takes longer to write than the line took to make.
    record     json        NOT NULL
) PARTITION BY RANGE (time);

CREATE INDEX log_records_time_idx ON log_records (time, id);
CREATE INDEX log_records_id_idx ON log_records (id);
CREATE INDEX log_records_request_id_idx ON log_records (request_id) WHERE request_id IS NOT NULL;
-- What is looked for when something is wrong is one record in thousands.
CREATE INDEX log_records_warnings_idx ON log_records (time, id) WHERE level >= 40;
CREATE INDEX log_records_failures_idx ON log_records (time, id) WHERE status >= 500;

-- The programs' role may write rows and make no tables, so what makes and drops them is here, and runs as the owner. Whoever
-- may insert may have a day made, near the present; whoever may delete may have old days dropped, whole.

-- Makes the table of a day, if there is none. Whoever calls it at the same time waits. The table is made by itself and then
-- attached, which lets others go on writing and reading; `PARTITION OF` would not.
CREATE FUNCTION log_records_make_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    name text := 'log_records_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF NOT has_table_privilege(session_user, 'public.log_records', 'INSERT') THEN
        RAISE insufficient_privilege USING MESSAGE = 'who may not write log records may not make tables for them';
    END IF;
    IF day < current_date - 31 OR day > current_date + 2 THEN
        RAISE datetime_field_overflow USING MESSAGE = format('no log record is of %s, today is %s', day, current_date);
    END IF;
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    -- "logr" in ASCII, and what is done.
    PERFORM pg_advisory_xact_lock(1819240306, 0);
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.log_records)', name);
    EXECUTE format('ALTER TABLE public.log_records ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   name, day::timestamptz, (day + 1)::timestamptz);
END $$;

-- Drops the table of the oldest day, if that ended at least `keep_days` days ago; answers the day, or null. One of those who
-- call it at the same time does it. It waits for running statements about log records for a second at most, and who comes
-- after waits as long; then it gives up until the next call.
CREATE FUNCTION log_records_forget_day(keep_days integer) RETURNS date
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE
    oldest date;
BEGIN
    IF NOT has_table_privilege(session_user, 'public.log_records', 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'who may not delete log records may not drop their tables';
    END IF;
    IF keep_days IS NULL OR keep_days < 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'log records are kept for a day at least';
    END IF;
    IF NOT pg_try_advisory_xact_lock(1819240306, 1) THEN
        RETURN NULL;
    END IF;
    SELECT min(to_date(right(relname, 8), 'YYYYMMDD')) INTO oldest
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'public.log_records'::regclass AND relname ~ '^log_records_[0-9]{8}$';
    IF oldest IS NULL OR oldest >= current_date - keep_days THEN
        RETURN NULL;
    END IF;
    EXECUTE format('DROP TABLE public.%I', 'log_records_' || to_char(oldest, 'YYYYMMDD'));
    RETURN oldest;
END $$;
