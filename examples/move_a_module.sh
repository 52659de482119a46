#!/usr/bin/env bash
# Train a module in one backbone, move it to another verb by verb, and judge it.
#
#   examples/move_a_module.sh                        the reference backbones, about three minutes
#   DONOR=./my-gpt TARGET=./my-llama DOMAIN=law DATA=./law.jsonl examples/move_a_module.sh
set -euo pipefail

DONOR=${DONOR:-ref-gpt2}
TARGET=${TARGET:-ref-llama}
DOMAIN=${DOMAIN:-python}
DATA=${DATA:-$DOMAIN}           # the domain's text
PAIRS=${PAIRS:-prose}           # what both read to be aligned: any text, or `donor`, which writes it
TRAIN=${TRAIN:-"--steps 250 --tokens 200000"}
MOVED=$DOMAIN-from-$(basename "$DONOR")

# 1. A module on the donor, and one on the target that serves as the ceiling.
for backbone in "$DONOR" "$TARGET"; do
  # shellcheck disable=SC2086  # TRAIN is a list of options
  abi train --backbone "$backbone" --domain "$DOMAIN" --domain-data "$DATA" $TRAIN --replace --json
done

# 2. Align in, then out: nothing is trained, the module's bytes stay.
abi bridge-align --module "$DOMAIN@$DONOR" --to "$TARGET" --pair-data "$PAIRS" --replace --json
abi calibrate --module "$DOMAIN@$DONOR" --to "$TARGET" --pair-data "$PAIRS" --replace --json

# 3. Does it predict like the native one? Exit code 3 says no, and is a result like any other.
abi nib --anchor "$DOMAIN@$TARGET" --candidate "$MOVED@$TARGET" --extended ${NIB:-} || [ $? -eq 3 ]

# 4. The same move once more with all its controls, as one JSON.
abi transfer --module "$DOMAIN@$DONOR" --to "$TARGET" --pair-data "$PAIRS" --replace --json \
  >"${OUT:-transfer.json}"
abi list --kind module
