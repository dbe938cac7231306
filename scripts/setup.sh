#!/usr/bin/env bash
# Installs the system packages that are missing: `setup.sh build` for building, `setup.sh build test` for the suite too.
#
# What needs what, read off the build scripts of our dependencies:
#   librocksdb-sys   clang++ (`.cargo/config.toml`), and libclang with clang's own headers (bindgen)
#   aws-lc-sys, secp256k1-sys, lz4-sys   a C compiler (aws-lc-sys wants cmake only where its plain build is off)
#   glommio          a C compiler, and git: its build script calls it before it builds its bundled liburing
#   the test suite   node with npm, python3 with venv: unmodified third-party clients run against the server
#
# Nothing is downloaded when nothing is missing.
set -euo pipefail

missing=()
need() { # command, package
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null && return 0
    compgen -G '/usr/lib/*-linux-gnu/libclang*.so*' >/dev/null && return 0
    compgen -G '/usr/lib*/libclang*.so*' >/dev/null
}

for part in "$@"; do
    case "$part" in
    build)
        need gcc gcc
        need make make
        need git git
        need clang++ clang
        need cmake cmake
        need pkg-config pkg-config
        has_libclang || missing+=(libclang-dev)
        ;;
    test)
        need node nodejs
        need npm npm
        need python3 python3
        python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
        ;;
    *)
        echo "setup: unknown part '$part': use build, test or both" >&2
        exit 2
        ;;
    esac
done

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: cargo is missing: install Rust (https://rustup.rs), then run this again" >&2
    exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

run=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        run=(sudo -n)
    else
        echo "setup: these packages are missing: ${missing[*]}; as root: apt-get install -y ${missing[*]}" >&2
        exit 1
    fi
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: these packages are missing (Debian names): ${missing[*]}; install them with your package manager" >&2
    exit 1
fi

echo "setup: installing ${missing[*]}"
"${run[@]}" apt-get update -q
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
