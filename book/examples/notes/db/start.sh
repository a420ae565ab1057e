#!/bin/sh
# Makes a database where there is none yet, then serves it.
set -eu
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    rm -rf "$data"
    initdb -D "$data" -U "$POSTGRES_USER" --pwfile=/run/secrets/password --auth=scram-sha-256 -E UTF8 >/dev/null
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    postgres --single -D "$data" postgres >/dev/null <<END
CREATE DATABASE "$POSTGRES_USER";
END
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp
