#!/bin/sh
# The kernel's tests under AddressSanitizer and UndefinedBehaviorSanitizer; the kernels are compiled afresh for it.
#   sh tests/asan.sh
set -eu
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
CXX="${CXX:-g++}"
LD_PRELOAD="$($CXX -print-file-name=libasan.so) $($CXX -print-file-name=libubsan.so)" \
ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 XDG_CACHE_HOME="$cache" \
CXX="$CXX -fsanitize=address,undefined -fno-sanitize-recover=all -g1" \
"${PYTHON:-python3}" -m pytest tests/test_cpu_kernel.py \
    -k "random_shapes or wider_than or registers_otherwise or single_precision or narrower or not_finite or threads" "$@"
