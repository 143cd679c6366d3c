#!/bin/bash
# Start one of the two servers of a database. If the volume is empty and FOLLOWS names the other server, the volume is
# filled with a copy of that server. After that only the volume decides: PostgreSQL follows if it finds standby.signal.
set -euo pipefail

if [ -n "${FOLLOWS:-}" ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    find "$PGDATA" -mindepth 1 -delete
    until PGPASSWORD="$POSTGRES_PASSWORD" psql -h "$FOLLOWS" -U postgres -q -v ON_ERROR_STOP=1 -f /quartet/replicator.sql; do
        echo "waiting for $FOLLOWS" >&2
        sleep 1
    done
    chown postgres:postgres "$PGDATA"
    chmod 700 "$PGDATA"
    PGPASSWORD="$REPLICATION_PASSWORD" setpriv --reuid=postgres --regid=postgres --init-groups \
        pg_basebackup -D "$PGDATA/new" -R -X stream -c fast \
        -d "host=$FOLLOWS user=replicator application_name=quartet_standby connect_timeout=5"
    # PG_VERSION is moved last: an interrupted copy does not count as a cluster, and is made again
    find "$PGDATA/new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
    mv "$PGDATA/new/PG_VERSION" "$PGDATA"
    rmdir "$PGDATA/new"
fi
exec docker-entrypoint.sh "$@" -chba_file=/quartet/pg_hba.conf -cwal_keep_size=128MB -cwal_sender_timeout=10s \
    -cwal_receiver_timeout=10s -cwal_receiver_status_interval=1s -cwal_retrieve_retry_interval=500ms
