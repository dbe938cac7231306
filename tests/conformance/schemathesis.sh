#!/usr/bin/env bash
# Runs schemathesis against the admin interface of a real server: does it do what its OpenAPI document says?
#
# Starts the release binary on free ports over a temporary data directory, signs two people in so that there are users
# and sessions, runs every phase, stops the server. Everything it makes is under the target directory or temporary.
#
#   SCHEMATHESIS_EXAMPLES  test cases per operation and phase (30)
#   SCHEMATHESIS_SEED      seed of the run (1); another one looks elsewhere
#   SERVER_BIN             the server (target/release/assay)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
assay=${SERVER_BIN:-$target/release/assay}
venv=$target/venv-schemathesis
version=4.32.5

[ -x "$assay" ] || { echo "no server at $assay: cargo build --release -p assay" >&2; exit 1; }
if ! "$venv/bin/schemathesis" --version 2>/dev/null | grep -qF "$version"; then
    rm -rf -- "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

work=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    rm -rf -- "$work"
}
trap finish EXIT

"$assay" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --data "$work/data" --issuer http://127.0.0.1 --limits off \
    >"$work/ready" 2>"$work/log" &
server=$!
for _ in $(seq 300); do
    grep -q 'assay is ready' "$work/ready" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
grep -q 'assay is ready' "$work/ready" || { echo "the server did not become ready" >&2; cat "$work/log" >&2; exit 1; }
public=$(grep -oE 'public http://[^ ,]+' "$work/ready" | cut -d' ' -f2)
admin=$(grep -oE 'admin http://[^ ,]+' "$work/ready" | cut -d' ' -f2)

# People with sessions, so that there is somebody to find, suspend and sign out.
python3 - "$assay" "$public" <<'PYTHON'
import json, subprocess, sys, urllib.request
assay, public = sys.argv[1:]
for _ in range(2):
    key = json.loads(subprocess.check_output([assay, "keygen"]))["wif"]
    path = "/api/auth/sign-in/sigma"
    for _ in range(20):
        token = subprocess.check_output([assay, "sign", "--key", key, "--path", path], text=True).strip()
        request = urllib.request.Request(public + path, method="POST", headers={"X-Auth-Token": token, "Origin": "http://127.0.0.1"})
        urllib.request.urlopen(request).read()
PYTHON

cd "$work"
status=0
SCHEMATHESIS_HOOKS=$here/schemathesis_hooks.py "$venv/bin/schemathesis" run "$admin/openapi.json" --continue-on-failure \
    --header "Authorization: Bearer $(cat "$work/data/admin.token")" \
    --max-examples "${SCHEMATHESIS_EXAMPLES:-30}" --seed "${SCHEMATHESIS_SEED:-1}" || status=$?

# Whatever was sent, the server lives and no token is in its log.
curl --fail --silent --output /dev/null "$admin/health"
if grep -qF "$(cat "$work/data/admin.token")" "$work/log" || grep -qE 'as_(cs|st|ac)_[0-9A-Za-z]{20}' "$work/log"; then
    echo "a secret is in the log" >&2
    status=1
fi
if grep -qi 'panicked' "$work/log"; then
    cat "$work/log" >&2
    status=1
fi
exit "$status"
