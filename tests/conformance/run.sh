#!/usr/bin/env bash
# Runs published clients, unmodified, against a real server on each runtime: npm bitcoin-auth, openid-client,
# oauth4webapi, the server half of @sigma-auth/better-auth-plugin; PyPI Authlib.
#
# Installs the exact versions of package.json and requirements.txt under the target directory, once. Any failure ends
# it with a status other than zero.
#
#   ASSAY_BIN       the server (target/release/assay)
#   CONFORMANCE_RUNTIMES  which runtimes ("epoll io_uring")
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
assay=${ASSAY_BIN:-$target/release/assay}
place=$target/conformance

[ -x "$assay" ] || { echo "no server at $assay: cargo build --release -p assay" >&2; exit 1; }
# Whatever is set outside must not reach the server: it takes every ASSAY_… variable for an option.
for name in "${!ASSAY_@}"; do
    unset "$name"
done

# Installs when what is installed is not what is asked for; the stamp is written last.
mkdir -p "$place"
if ! cmp -s "$here/package.json" "$place/npm.stamp"; then
    rm -rf -- "$place/node_modules" "$place/npm.stamp"
    cp "$here/package.json" "$place/"
    # The plugin's peers are frameworks that its server half does without.
    (cd "$place" && npm install --no-package-lock --legacy-peer-deps --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp "$here/package.json" "$place/npm.stamp"
fi
if ! cmp -s "$here/requirements.txt" "$place/pip.stamp"; then
    rm -rf -- "$place/venv" "$place/pip.stamp"
    python3 -m venv "$place/venv"
    "$place/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$place/pip.stamp"
fi
# Node looks for packages beside the script.
cp "$here"/*.mjs "$place/"

work=$(mktemp -d)
server=
stop() {
    [ -n "$server" ] || return 0
    kill -TERM "$server" 2>/dev/null || true
    local status=0
    wait "$server" || status=$?
    server=
    return "$status"
}
finish() {
    local status=$?
    stop || true
    [ "$status" -eq 0 ] || { echo "conformance FAILED; the server's log ends with:" >&2; tail -n 5 "$work/log" >&2 || true; }
    rm -rf -- "$work"
}
trap finish EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

ran=0
for runtime in ${CONFORMANCE_RUNTIMES:-epoll io_uring}; do
    data=$work/$runtime
    base=http://127.0.0.1:$(free_port)
    "$assay" serve --listen "${base#http://}" --admin-listen 127.0.0.1:0 --data "$data" --issuer "$base" --runtime "$runtime" --limits off \
        >"$work/ready" 2>"$work/log" &
    server=$!
    for _ in $(seq 300); do
        grep -q 'assay is ready' "$work/ready" && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    if ! grep -q 'assay is ready' "$work/ready"; then
        if [ "$runtime" = io_uring ] && ! kill -0 "$server" 2>/dev/null && grep -q io_uring "$work/log"; then
            echo "skipped: io_uring does not work here: $(cat "$work/log")"
            server=
            continue
        fi
        echo "the server did not become ready" >&2
        exit 1
    fi
    admin=$(grep -oE 'admin http://[^ ,]+' "$work/ready" | cut -d' ' -f2)
    echo "== published clients against $base ($runtime)"
    export CONFORMANCE_SCENE=$work/scene.json
    node "$place/prepare.mjs" "$assay" "$base" "$admin" "$data" "$CONFORMANCE_SCENE"
    for client in bitcoin_auth openid_client oauth4webapi sigma_plugin; do
        echo "$client"
        node "$place/$client.mjs"
    done
    echo authlib
    "$place/venv/bin/python" "$here/authlib_client.py"
    if grep -qi panicked "$work/log"; then
        echo "the server panicked" >&2
        exit 1
    fi
    stop
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || { echo "no runtime works here" >&2; exit 1; }
echo "published clients: all passed on $ran runtime(s)"
