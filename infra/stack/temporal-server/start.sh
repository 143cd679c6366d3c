#!/bin/sh
# Bring the tables of both databases to this version of Temporal's server, then become the server. Both tools leave
# tables that are up to date as they are. SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD say where the databases are.
#   start.sh FOLDER_OF_BOTH_PROGRAMS CONFIGURATION DATABASE DATABASE_OF_VISIBILITY
set -e
schema() {
    "$1/temporal-sql-tool" --plugin postgres12 --database "$2" setup-schema --version 0.0
    "$1/temporal-sql-tool" --plugin postgres12 --database "$2" update-schema --schema-name "postgresql/v12/$3"
}
schema "$1" "$3" temporal
schema "$1" "$4" visibility
exec "$1/temporal-server" --config-file "$2" --allow-no-auth start
