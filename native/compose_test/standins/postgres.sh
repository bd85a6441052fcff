#!/bin/sh
# Stands for the entrypoint of the official PostgreSQL image, as far as compose.yaml uses it: a cluster in PGDATA, made at the
# first start with the superuser's password from POSTGRES_PASSWORD_FILE.
set -eu

if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    # shellcheck disable=SC2086 -- several options in one variable, as in the official image
    initdb --pgdata "$PGDATA" --username postgres --pwfile "$POSTGRES_PASSWORD_FILE" --auth-host scram-sha-256 \
        --auth-local trust ${POSTGRES_INITDB_ARGS:-}
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
exec "$@"
