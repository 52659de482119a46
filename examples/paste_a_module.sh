#!/usr/bin/env bash
# Paste a domain module from one LayerCake core into another, and verify it bit for bit.
#
#   examples/paste_a_module.sh                         untrained cores, made where they are missing
#   FROM=./my-core TO=./my-larger-core DOMAIN=chess examples/paste_a_module.sh
set -euo pipefail

FROM=${FROM:-2M}
TO=${TO:-5M}
DOMAIN=${DOMAIN:-untrained}
OUT=${OUT:-pasted}

# 1. What it would do: every check is made, nothing is written but cores that are missing.
abi cores
abi paste --from "$FROM" --to "$TO" --domain "$DOMAIN" --init-missing 0 --dry-run

# 2. The target with the module in it, as a folder that `transformers` loads.
abi paste --from "$FROM" --to "$TO" --domain "$DOMAIN" --out "$OUT" --replace --json

# 3. The same bits, the same outputs, the same text, each beside a control that must fail.
abi verify paste --from "$FROM" --to "./$OUT" --domain "$DOMAIN"
