#!/usr/bin/env bash
# `assay load script` against a server that is not assay: npm's oidc-provider, through client credentials and introspection.
# Installs it into a temporary folder, loads it for two seconds, and fails unless every journey succeeded.
#
#   ASSAY_BIN   the binary (target/release/assay)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
assay=${ASSAY_BIN:-${CARGO_TARGET_DIR:-$root/target}/release/assay}
[ -x "$assay" ] || { echo "no binary at $assay: cargo build --release -p assay" >&2; exit 1; }

work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf -- "$work"
}
trap finish EXIT

cp "$here/load_oidc_provider.mjs" "$work/"
(cd "$work" && npm init -y >/dev/null && npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error oidc-provider@9)
export CLIENT_ID=load CLIENT_SECRET=load-secret-of-a-test
node "$work/load_oidc_provider.mjs" "$CLIENT_ID" "$CLIENT_SECRET" >"$work/out" 2>"$work/log" &
server=$!
for _ in $(seq 100); do
    grep -q '^listening' "$work/out" && break
    kill -0 "$server" 2>/dev/null || { tail -n 5 "$work/log" >&2; exit 1; }
    sleep 0.1
done
target=$(grep '^listening' "$work/out" | cut -d' ' -f2)

load() {
    "$assay" load script "$root/examples/load/client-credentials-introspect.toml" --target "$target" \
        --duration 2s --warm-up 500ms "$@"
}
load --connections 4
load --rate 100 --arrivals poisson --connections 16 --json >"$work/result.json"
python3 - "$work/result.json" <<'PYTHON'
import json, sys
result = json.load(open(sys.argv[1]))
assert result["errors_total"] == 0, result["errors"]
assert [step["name"] for step in result["steps"]] == ["token", "introspect"]
assert result["completed"] > 100, result["completed"]
print(f"oidc-provider: {result['completed']} journeys at {result['intended_per_second']:.0f}/s, p99 {result['latency_ms']['p99']:.1f} ms, no errors")
PYTHON
