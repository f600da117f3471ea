#!/bin/sh
# restore.sh NAME [FILE]: puts a snapshot of the Redis called NAME (the newest in /backups, unless FILE is given) in place
# of all that is in /data. The server that owns /data must be stopped. An append-only file would win over a snapshot, so
# it goes first, and a new one is written from what was loaded.
set -eu
umask 077
file=${2:-}
if [ -z "$file" ]; then
    for found in /backups/"$1"-[0-9]*.rdb; do file=$found; done # their names sort by time
fi
redis-check-rdb "$file" >/dev/null || { echo "restore.sh: $file is no sound snapshot; nothing was changed." >&2; exit 1; }

socket=/run/redis/restore
ask() { redis-cli -s $socket "$@"; }
until_says() { while ! ask info persistence | grep -q "^$1"; do sleep 1; done; }

cp "$file" /data/restored.rdb
rm -rf /data/appendonlydir
mv /data/restored.rdb /data/dump.rdb
redis-server --dir /data --port 0 --unixsocket $socket --daemonize yes --pidfile /run/redis/restore.pid --logfile /run/redis/restore.log >/dev/null
while ! ask ping >/dev/null 2>&1; do sleep 1; done
until_says loading:0
ask config set appendonly yes >/dev/null
until_says aof_rewrite_in_progress:0
ask info persistence | grep -q ^aof_last_bgrewrite_status:ok || { echo "restore.sh: the append-only file could not be written." >&2; exit 1; }
echo "restore.sh: $(ask dbsize) keys from $file"
ask shutdown save
