#!/bin/sh
# Fails on the first difference between the tree and what clang-format would write.
cd "$(dirname "$0")/../.." || exit 1
command -v clang-format >/dev/null || { echo "skipped: clang-format is not installed"; exit 77; }
clang-format --version | grep -q 'version 14\.' || { echo "skipped: the tree has the layout of clang-format 14, and other versions lay out differently"; exit 77; }
find src net systemd rootlesskit tests \( -name '*.cc' -o -name '*.h' \) -print0 | xargs -0 clang-format --dry-run --Werror
