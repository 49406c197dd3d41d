#!/usr/bin/env bash
# A fleet in miniature: records `leaky_server` on so many "hosts" in two versions, 1.4 that is fixed and
# 1.5 that leaks, turns each recording into Parquet, and asks what docs/guide/FLEET.md asks.
#
#   examples/fleet/run.sh DIR [HOSTS] [SECONDS]      60 hosts, 2 s each
#
# PYTHON has duckdb (tests/tools/install makes one in target/tools/python); `--write` as WRITE=--write
# puts the answers into docs/guide/FLEET.md.
set -euo pipefail
directory=$1 hosts=${2:-60} seconds=${3:-2}
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/target/tools/python/bin/python}
if [ -z "${RHEAPER:-}" ]; then
    (cd "$root" && cargo build --release --features parquet --bin rheaper --example leaky_server)
fi
export RHEAPER=${RHEAPER:-$root/target/release/rheaper}
export SERVER=${SERVER:-$root/target/release/examples/leaky_server}
export SECONDS_EACH=$seconds
mkdir -p "$directory/fleet"
cd "$directory"

one() { # host version word-for-the-server
    mkdir -p "recordings/$1-$2"
    (cd "recordings/$1-$2" && "$SERVER" "$SECONDS_EACH" $3 2> /dev/null)
    "$RHEAPER" load "recordings/$1-$2"/rip-* -o "recordings/$1-$2.db" 2> /dev/null
    "$RHEAPER" export "recordings/$1-$2.db" --format parquet --force \
        --table sites --table site_timeline --table timeline --table backtraces \
        --label host="$1" --label version="$2" -o "fleet/$1-$2/" 2> /dev/null
    rm -r "recordings/$1-$2" "recordings/$1-$2.db"
}
export -f one
for host in $(seq -w 1 "$hosts"); do
    echo "web-$host 1.4 fixed"
    echo "web-$host 1.5"
done | xargs -P 8 -L 1 bash -c 'one "$1" "$2" "${3:-}"' one
"$python" "$root/examples/fleet/ask.py" . ${WRITE:-}
