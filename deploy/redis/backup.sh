#!/bin/sh
# backup.sh [once]: a checked snapshot of each Redis in REDIS_HOSTS, at BACKUP_HOUR (UTC) every night and at the start
# where today's is missing. Kept for KEEP_DAYS. "once" makes one of each and ends.
set -eu
umask 077
to=/data
export REDISCLI_AUTH="$BACKUP_REDIS_PASSWORD"

# [0-9]: the files of "redis" are not those of "redis-sessions".
snapshot() { # snapshot HOST: the name is given only to a file that was checked
    part=$to/.$1.part
    if redis-cli -h "$1" --user backup --no-auth-warning --rdb "$part" >/dev/null && redis-check-rdb "$part" >/dev/null; then
        file=$to/$1-$(date -u +%Y%m%dT%H%M%SZ).rdb
        mv "$part" "$file"
        echo "backup.sh: $file, $(wc -c < "$file") bytes"
        find "$to" -name "$1-[0-9]*.rdb" -mtime "+${KEEP_DAYS:-7}" -exec rm -f {} +
    else
        rm -f "$part"
        echo "backup.sh: no snapshot of $1" >&2
        return 1
    fi
}

all() {
    failed=0
    for host in $REDIS_HOSTS; do
        if [ "${1:-}" = missing ] && find "$to" -name "$host-[0-9]*.rdb" -mmin -1440 | grep -q .; then continue; fi
        snapshot "$host" || failed=1
    done
    return $failed
}

case ${1:-nightly} in
once) all; exit ;;
healthy) for host in $REDIS_HOSTS; do find "$to" -name "$host-[0-9]*.rdb" -mmin -1560 | grep -q . || exit 1; done; exit ;;
nightly) ;;
*) echo "usage: backup.sh [once|healthy]" >&2; exit 2 ;;
esac

trap 'exit 0' TERM INT
all missing || true
while :; do
    now=$(date -u +%s)
    next=$((now / 86400 * 86400 + ${BACKUP_HOUR:-3} * 3600))
    [ "$next" -gt "$now" ] || next=$((next + 86400))
    sleep $((next - now)) & wait $!
    # One more try after five minutes, say for a server that was restarting.
    all || { sleep 300 & wait $!; all missing || true; }
done
