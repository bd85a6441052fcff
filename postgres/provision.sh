#!/bin/sh
# Makes Linnet's roles, its database and its rights, in containers. Passwords come from the secrets' files; they may hold
# letters, digits and whatever needs no percent sign in a URL and is no quote.
set -eu

# The password in the URL that the secret $1 holds.
password_in() {
    sed -n 's#^postgres\(ql\)\{0,1\}://[^:/]*:\([^@]*\)@.*#\2#p' "/run/secrets/$1" | grep . || {
        echo "provision: the secret $1 is no URL with a password, such as postgres://user:password@host:5432/database" >&2
        exit 1
    }
}

owner=$(password_in owner_database_url)
app=$(password_in app_database_url)
monitor=$(cat /run/secrets/monitor_password)
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD

# By standard input, so that no password stands in a list of processes.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 <<END
\\set owner '$owner'
\\set app '$app'
\\set monitor '$monitor'
\\i /linnet/roles.sql
END
echo "provision: roles, database and rights are as they should be"
