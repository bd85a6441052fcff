#!/bin/sh
# Redis in containers. The programs' password is in the URL that the secret redis_url holds (redis://:password@host:port/database),
# the exporter's in its own file, the secret redis_exporter.
#
#   redis.sh serve    runs the server
#   redis.sh check    succeeds when it answers
set -eu

password=$(sed -n 's#^redis://[^:/]*:\([^@]*\)@.*#\1#p' /run/secrets/redis_url)
[ -n "$password" ] || {
    echo "redis.sh: the secret redis_url is no URL with a password, such as redis://:password@redis:6379/0" >&2
    exit 1
}

monitor=$(sed -n 's#.*linnet_monitor@[^"]*": *"\([^"]*\)".*#\1#p' /run/secrets/redis_exporter 2>/dev/null || true)

case "${1:-}" in
serve)
    # In memory, and not in an argument that a list of processes would show.
    umask 077
    [ -n "$monitor" ] || {
        echo "redis.sh: the secret redis_exporter names no password of linnet_monitor, such as {\"redis://linnet_monitor@redis:6379\": \"password\"}" >&2
        exit 1
    }
    {
        cat /linnet/redis.conf
        printf 'requirepass %s\nport 6379\nbind 0.0.0.0\ndir /tmp\n' "$password"
        # Who only counts: the exporter sees figures and settings and no key.
        printf 'user linnet_monitor on >%s %s\n' "$monitor" "$(cat /linnet/monitor.acl)"
    } >/tmp/redis.conf
    exec redis-server /tmp/redis.conf
    ;;
check)
    export REDISCLI_AUTH="$password"
    [ "$(redis-cli --no-auth-warning ping)" = PONG ]
    ;;
*)
    echo "redis.sh: serve or check" >&2
    exit 2
    ;;
esac
