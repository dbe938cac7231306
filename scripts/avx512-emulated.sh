#!/usr/bin/env bash
# Runs the tests of the vector kernels on an emulated CPU with AVX-512 IFMA, for machines that have none.
#
# Bochs (Debian: bochs) emulates an Ice Lake core instruction by instruction, so a Debian kernel boots in it, with the
# release-mode test binaries in its initramfs, and prints their results on the serial port. It says whether the kernels
# are right, never how fast they are. Packages that are missing are installed by apt-get; the kernel is downloaded, not
# installed. A machine with AVX-512 IFMA needs none of this: there the ordinary tests cover the vector backend.
#
#   scripts/avx512-emulated.sh [TEST-BINARY[:FILTER,…] …]   default: see `selection`
#   scripts/avx512-emulated.sh bench [ARGUMENT …]           the bench `kernels` in the emulator, whose clock counts
#                                                           instructions: its figures are no times
#   ASSAY_EMULATED_SECONDS      bound on the whole emulation (7200)
#   ASSAY_DIFFERENTIAL_COUNT    signatures per curve of the differential tests (1000)
set -euo pipefail
cd "$(dirname "$0")/.."

mode=test
if [ "${1:-}" = bench ]; then
    mode=bench
    shift
fi
selection=(assay_kernels:the_instructions,group,cpu kernels vectors wycheproof:ecdsa)
[ $# -eq 0 ] || [ "$mode" = bench ] || selection=("$@")
seconds=${ASSAY_EMULATED_SECONDS:-7200}
features='avx512f avx512dq avx512bw avx512vl avx512ifma avx512_vbmi2'

if [ -z "${ASSAY_EMULATE_ANYWAY:-}" ] && grep -qw avx512ifma /proc/cpuinfo && grep -qw avx512_vbmi2 /proc/cpuinfo; then
    echo "avx512: this machine has AVX-512 IFMA, so the ordinary tests cover the vector backend: nothing to emulate"
    exit 0
fi

missing=()
need() { # file, package
    [ -e "$1" ] || missing+=("$2")
}
need /usr/bin/bochs bochs
need /usr/share/bochs/BIOS-bochs-latest bochsbios
need /usr/share/bochs/VGABIOS-lgpl-latest vgabios
need /usr/lib/ISOLINUX/isolinux.bin isolinux
need /usr/lib/syslinux/modules/bios/ldlinux.c32 syslinux-common
need /usr/bin/xorriso xorriso
need /bin/busybox busybox-static
if [ ${#missing[@]} -gt 0 ]; then
    run=()
    [ "$(id -u)" -eq 0 ] || run=(sudo -n)
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "avx512: these packages are missing (Debian names): ${missing[*]}" >&2
        exit 1
    fi
    echo "avx512: installing ${missing[*]}"
    "${run[@]}" apt-get update -q
    "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

target=${CARGO_TARGET_DIR:-$PWD/target}
work=$target/avx512
mkdir -p "$work"

# The newest cloud kernel: its drivers are built in. Linux 6.1 dies in Bochs when it patches itself; 6.12 does not.
if [ ! -f "$work/vmlinuz" ]; then
    package=$(apt-cache --names-only search '^linux-image-[0-9.]+([+-][a-z0-9]+)?-cloud-amd64$' | cut -d' ' -f1 | sort -V | tail -1)
    [ -n "$package" ] || { echo "avx512: apt-get knows no linux-image-…-cloud-amd64 (apt-get update?)" >&2; exit 1; }
    echo "avx512: downloading $package"
    download=$(mktemp -d)
    (cd "$download" && apt-get download -q "$package" >/dev/null && dpkg-deb --fsys-tarfile ./*.deb | tar -xf - --wildcards './boot/vmlinuz-*')
    mv "$download"/boot/vmlinuz-* "$work/vmlinuz"
    rm -r "$download"
fi

echo "avx512: building"
[ "$mode" = bench ] || built=$(cargo test --release --locked --no-run --lib --tests --message-format=json -p assay-kernels -p assay-engine |
    grep -o '"executable":"[^"]*"' | cut -d'"' -f4)

# The initramfs: busybox, the test binaries and the libraries they name, and /init.
root=$work/root
rm -rf "$root" "$work/iso"
mkdir -p "$root/bin" "$root/tests" "$work/iso"
cp "$(readlink -f /bin/busybox)" "$root/bin/busybox"
pack() { # binary, name
    strip -o "$root/tests/$2" "$1"
    ldd "$1" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}
: >"$work/expected"
{
    cat <<INIT
#!/bin/busybox sh
# The kernel's messages are off; what the tests print is all that comes over the serial port.
export PATH=/bin
busybox mkdir -p /proc /dev /tmp
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
exec </dev/null >/dev/ttyS0 2>&1
for feature in $features; do
    busybox grep -qw "\$feature" /proc/cpuinfo && echo "guest has \$feature"
done
# In Bochs 2.7 AWS-LC refuses every P-256 signature if it finds ADX and BMI2. It is the oracle, so it goes without.
export OPENSSL_ia32cap=:~0x80100
export ASSAY_TEST_AVX512=required ASSAY_DIFFERENTIAL_COUNT=${ASSAY_DIFFERENTIAL_COUNT:-1000} RUST_BACKTRACE=0
INIT
    if [ "$mode" = bench ]; then
        binary=$(cargo bench --locked --no-run --message-format=json -p assay-engine --bench kernels |
            grep -o '"executable":"[^"]*"' | cut -d'"' -f4)
        pack "$binary" kernels
        # One tick of the emulated counter is one instruction; the kernel takes it for so many a second.
        echo "busybox dmesg | busybox grep -o 'tsc: Detected .*'"
        echo "/tests/kernels ${*:---rounds 3}"
        selection=()
    fi
    for chosen in "${selection[@]}"; do
        name=${chosen%%:*} filter=
        [ "$name" = "$chosen" ] || filter=${chosen#*:} filter=${filter//,/ }
        binary=$(grep -E "/$name-[0-9a-f]+$" <<<"$built") || { echo "avx512: no test binary named $name" >&2; exit 1; }
        pack "$binary" "$name"
        "$binary" $filter --list 2>/dev/null | sed -n "s/: test\$//; t keep; d; : keep s/^/$name /p" >>"$work/expected"
        echo "echo 'binary $name'; busybox time -f 'seconds %e' /tests/$name $filter --test-threads=1 --show-output"
    done
    echo 'echo the end'
    # Bochs does not flush its serial port when the guest powers off: this pushes the last lines out.
    echo 'busybox yes "" | busybox head -c 8192'
    echo 'busybox poweroff -f'
} >"$root/init"
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$work/iso/initrd.gz"

# A CD to boot from. Bochs 2.7 reports XSAVE areas and PCIDs that it does not have, so the kernel is told to ignore them.
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/vmlinuz" "$work/iso/"
cat >"$work/iso/isolinux.cfg" <<'CONFIG'
DEFAULT tests
PROMPT 0
LABEL tests
  KERNEL vmlinuz
  INITRD initrd.gz
  APPEND console=ttyS0 quiet loglevel=0 nokaslr mitigations=off nopcid clearcpuid=pku,xsaves,xsavec lpj=4000000 no_timer_check random.trust_cpu=on panic=-1
CONFIG
(cd "$work/iso" && xorriso -as mkisofs -quiet -o "$work/boot.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table . 2>/dev/null)

cat >"$work/bochsrc" <<CONFIG
megs: 1024
cpu: model=corei7_icelake_u, count=1, ips=10000000, reset_on_triple_fault=0, ignore_bad_msrs=1
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path="$work/boot.iso", status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev="$work/serial.log"
display_library: rfb, options="timeout=0"
clock: sync=none
log: "$work/bochs.log"
panic: action=fatal
error: action=ignore
info: action=ignore
speaker: enabled=0
CONFIG
# Debian builds Bochs with its debugger, which waits for a command.
echo c >"$work/continue"
bochs=(bochs -q -f "$work/bochsrc")
[[ $(bochs --help 2>&1) != *-rc* ]] || bochs+=(-rc "$work/continue")
# The display listens on a port; without a network nobody sees it.
! unshare --net --map-root-user true 2>/dev/null || bochs=(unshare --net --map-root-user "${bochs[@]}")

echo "avx512: booting, at most $seconds s; a minute or two pass before the first line"
: >"$work/serial.log"
timeout -k 5 "$seconds" "${bochs[@]}" </dev/null >"$work/bochs.out" 2>&1 &
emulator=$!
trap 'kill "$emulator" 2>/dev/null || true' EXIT
tail -n +1 -f --pid="$emulator" "$work/serial.log" | sed -u 's/\r//' | tee "$work/output"
wait "$emulator" || true # Power off is a panic to Bochs; what counts is what was printed.

for feature in $features; do
    grep -qx "guest has $feature" "$work/output" || { echo "avx512: the guest had no $feature" >&2; exit 1; }
done
if [ "$mode" = bench ]; then
    echo "avx512: times above are instructions, divided by the counter's rate on the first line"
    exit 0
fi
missed=0
while read -r name test; do
    # A test's line must stand between its binary's heading and the next.
    sed -n "/^binary $name\$/,/^seconds /p" "$work/output" | grep -qxF "test $test ... ok" && continue
    echo "avx512: not seen: $name: test $test ... ok" >&2
    missed=$((missed + 1))
done <"$work/expected"
[ "$missed" -eq 0 ] && [ -s "$work/expected" ] && grep -qx 'the end' "$work/output" || { echo "avx512: $missed tests failed or did not finish" >&2; exit 1; }
echo "avx512: $(wc -l <"$work/expected") tests passed on an emulated CPU with AVX-512 IFMA"
