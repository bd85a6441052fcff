#!/bin/sh
# Stands for the entrypoint of the official NGINX image, as far as compose.yaml uses it: the templates are filled in from the
# environment, the addresses of the resolvers among it.
set -eu

if [ "${1:-}" = nginx ]; then
    if [ -n "${NGINX_ENTRYPOINT_LOCAL_RESOLVERS:-}" ]; then
        NGINX_LOCAL_RESOLVERS=$(sed -n 's/^nameserver[[:blank:]]*//p' /etc/resolv.conf | tr '\n' ' ')
        export NGINX_LOCAL_RESOLVERS
    fi
    for script in /docker-entrypoint.d/*.envsh; do
        # As there: what cannot be executed is left out.
        # shellcheck disable=SC1090
        [ ! -x "$script" ] || . "$script"
    done
    # Names that the environment does not have stay as they are: nginx' own variables look the same.
    names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/${\1}/p' | tr '\n' ' ')
    folder=/etc/nginx/templates
    find "$folder" -name '*.template' | while read -r template; do
        target="$NGINX_ENVSUBST_OUTPUT_DIR/${template#"$folder"/}"
        mkdir -p "$(dirname "$target")"
        envsubst "$names" <"$template" >"${target%.template}"
    done
fi
exec "$@"
