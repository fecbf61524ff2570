#!/bin/sh
# Runs tests on aarch64, emulated by QEMU, ten to fifty times slower than on a machine of that kind:
#
#     sudo tools/test_on_aarch64.sh                       # the kernels, some ten minutes
#     sudo tools/test_on_aarch64.sh tests/compiler/test_training.py -k lenet
#     sudo QEMU_CPU=max FLAMBEAU_CPU=neoverse-v1 tools/test_on_aarch64.sh tests/kernels/test_gemm.py   # with SVE
#
# It needs Debian or Ubuntu with debootstrap, qemu-user-static and pip, and makes a small Debian in AARCH64_ROOT
# (0.8 GB), which later runs use again. What it mounts there goes away with it. An emulated processor orders memory as the one
# beneath it does: mistakes in the order of memory accesses do not show.
set -eu

root=${AARCH64_ROOT:-/var/tmp/flambeau-aarch64}
tree=$(cd "$(dirname "$0")/.." && pwd)
handlers=/proc/sys/fs/binfmt_misc

for tool in debootstrap qemu-aarch64-static unshare; do
    command -v $tool > /dev/null || { echo "$tool is missing: apt install debootstrap qemu-user-static"; exit 1; }
done
[ -e $handlers/register ] || mount -t binfmt_misc binfmt_misc $handlers
[ -e $handlers/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf > $handlers/register

if [ ! -e "$root/etc/debian_version" ] || [ -e "$root/debootstrap" ]; then  # not there, or not finished
    debootstrap --arch=arm64 --variant=minbase --include=python3,python3-pip bookworm "$root" \
        "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
fi
if [ ! -e "$root/ready" ]; then
    "${PYTHON:-python3}" -m pip download --quiet --dest "$root/wheels" --only-binary=:all: --python-version 3.11 \
        --platform manylinux2014_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 \
        numpy llvmlite ml_dtypes safetensors scipy hypothesis pytest pytest-timeout
    chroot "$root" sh -c 'python3 -m pip install --quiet --break-system-packages --no-index --find-links /wheels /wheels/*.whl'
    touch "$root/ready"
fi

rm -rf "$root/flambeau"
mkdir "$root/flambeau"
git -C "$tree" ls-files -z --cached --others --exclude-standard |
    tar -C "$tree" --null --files-from=- --ignore-failed-read -c | tar -C "$root/flambeau" -x

[ $# -gt 0 ] || set -- tests/kernels
exec unshare --mount sh -c '
    root=$1; shift
    for folder in proc sys dev; do mount --rbind /$folder "$root/$folder"; done
    exec env -i PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 QEMU_CPU="${QEMU_CPU:-cortex-a72}" \
        FLAMBEAU_CPU="${FLAMBEAU_CPU:-}" OPENBLAS_CORETYPE=ARMV8 NPY_DISABLE_CPU_FEATURES=SVE \
        "$(command -v chroot)" "$root" sh -c "cd /flambeau && exec python3 -m pytest -q \"\$@\"" sh --timeout=1200 "$@"
' sh "$root" "$@"
