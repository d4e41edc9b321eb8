#!/bin/bash
# --connect: it answers over TCP to the health check's own account; --innodb_initialized: its tables are there.
set -euo pipefail
ask() { mariadb --defaults-file=/var/lib/mysql/.my-healthcheck.cnf --batch --skip-column-names -e "$1"; }
for check in "$@"; do
    case $check in
        --connect) ask 'select 1' >/dev/null ;;
        --innodb_initialized) [ "$(ask "select 1 from information_schema.ENGINES where engine='innodb' and support in ('YES','DEFAULT','ENABLED')")" = 1 ] ;;
        *) echo "no such check here: $check" >&2; exit 1 ;;
    esac
done
