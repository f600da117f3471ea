#!/bin/sh
# start.sh NAME: writes the ACL from NAME.acl and the environment, then runs Redis with NAME.conf. The server keeps
# digests only: no password stands in a file, on a command line, or in the server's environment.
set -eu
umask 077
here=/usr/local/etc/redis

digest() { printf %s "$1" | sha256sum | cut -d' ' -f1; }

strong() { # strong NAME: a variable that is set, and long enough not to be guessed
    eval "value=\${$1:-}"
    if [ "${#value}" -lt 16 ]; then
        echo "start.sh: $1 must be at least 16 characters long." >&2
        exit 1
    fi
}

strong REDIS_PASSWORD
strong BACKUP_REDIS_PASSWORD
[ "$1" = sessions ] || strong APP_REDIS_PASSWORD
prefix=${CACHE_KEY_PREFIX:-certificados}
case $prefix in
*[!A-Za-z0-9_.-]*) echo "start.sh: CACHE_KEY_PREFIX may hold letters, digits, '_', '.' and '-' only." >&2; exit 1 ;;
esac

# waitaof is known from Redis 7.2 on.
drop='s/$/&/'
case $(redis-server --version) in *v=7.0.*) drop='s/ +waitaof//' ;; esac
sed -e '/^#/d' -e "$drop" \
    -e "s/@PREFIX@/$prefix/g" \
    -e "s/@REDIS_PASSWORD@/$(digest "$REDIS_PASSWORD")/" \
    -e "s/@APP_REDIS_PASSWORD@/$(digest "${APP_REDIS_PASSWORD:-}")/" \
    -e "s/@BACKUP_REDIS_PASSWORD@/$(digest "$BACKUP_REDIS_PASSWORD")/" \
    "$here/$1.acl" > /run/redis/users.acl
unset REDIS_PASSWORD APP_REDIS_PASSWORD BACKUP_REDIS_PASSWORD value
exec redis-server "$here/$1.conf"
