#!/usr/bin/env bash
# The kernels under instruments that look for undefined behaviour and for memory errors: `hardened.sh [miri] [asan]`,
# both without an argument. Needs a nightly toolchain; what of it is missing is said before anything is compiled.
#
#   miri   interprets the unit tests of the modules that are ours alone. It cannot call C, so libsecp256k1 and AWS-LC,
#          and with them the verdicts, are out of its reach.
#   asan   runs every test of kernels and engine with address sanitizer in the Rust code, optimised as ever, and in the
#          C code where clang is there to compile it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=x86_64-unknown-linux-gnu
# Modules, wherever they stand in the crate. Those that build tables or take hundreds of roots are left out: one of their
# tests takes Miri more minutes than all of these.
miri_modules=(field:: scalar::)
target_dir=${CARGO_TARGET_DIR:-$PWD/target}/hardened
[ $# -gt 0 ] || set -- miri asan

wants() { [[ " $instruments " == *" $1 "* ]]; }
instruments="$*"

missing=()
if ! cargo +nightly --version >/dev/null 2>&1; then
    missing+=("a nightly toolchain: rustup toolchain install nightly --profile minimal --component miri,rust-src")
elif wants miri; then
    cargo +nightly miri --version >/dev/null 2>&1 || missing+=("Miri: rustup +nightly component add miri")
    [ -d "$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library" ] ||
        missing+=("the standard library's source: rustup +nightly component add rust-src")
fi
if [ ${#missing[@]} -gt 0 ]; then
    printf 'make hardened needs %s\n' "${missing[@]}" >&2
    exit 1
fi

if wants miri; then
    echo "== Miri: ${miri_modules[*]}"
    CARGO_TARGET_DIR=$target_dir cargo +nightly miri test --locked --target "$target" -p assay-kernels --lib -- \
        "${miri_modules[@]}"
fi

if wants asan; then
    # The sanitizer of gcc has another runtime than rustc's, which is clang's.
    if command -v clang >/dev/null 2>&1; then
        export CC_x86_64_unknown_linux_gnu=clang CFLAGS_x86_64_unknown_linux_gnu=-fsanitize=address
        echo "== address sanitizer: Rust and C"
    else
        echo "== address sanitizer: Rust only (clang is missing, so C is compiled without it)"
    fi
    # With a target named, build scripts and macros are compiled without the sanitizer.
    CARGO_TARGET_DIR=$target_dir RUSTFLAGS=-Zsanitizer=address \
        cargo +nightly test --locked --target "$target" -p assay-kernels -p assay-engine --lib --tests
fi
