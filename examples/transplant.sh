#!/usr/bin/env bash
# Put a feed-forward part of one backbone to work inside another, verb by verb, and judge it.
#
#   examples/transplant.sh                               the reference backbones
#   DONOR=./my-llama TARGET=./my-gpt PART=4 LAYER=3 DATA=./text.jsonl examples/transplant.sh
set -euo pipefail

DONOR=${DONOR:-ref-llama}
TARGET=${TARGET:-ref-gpt2}
PART=${PART:-2}                 # the block of the donor
LAYER=${LAYER:-1}               # the block of the target
DATA=${DATA:-prose}
CAPTURE=${CAPTURE:-"--max-tokens 150000"}
TRAIN=${TRAIN:-"--steps 200 --lm-steps 60"}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# 1. The donor's parts, in a form that runs without it.
abi extract --backbone "$DONOR" --components ffn --layers "$PART" --name parts --replace --json

# 2. What both layers read, and what the target's own part adds.
# shellcheck disable=SC2086  # CAPTURE and TRAIN are lists of options
{
  abi capture --backbone "$DONOR" --data "$DATA" --out "$WORK/donor.h5" \
    --taps "block.$PART.mlp.in" $CAPTURE --json
  abi capture --backbone "$TARGET" --data "$DATA" --out "$WORK/target.h5" \
    --taps "block.$LAYER.mlp.in,block.$LAYER.mlp" $CAPTURE --json

  # 3. A way in, fitted where both have read up to the same character; then bridges, trained.
  abi bridge-align --between "$WORK/target.h5:block.$LAYER.mlp.in" \
    "$WORK/donor.h5:block.$PART.mlp.in" --name align --replace --json
  abi bridge-train --from "parts:ffn.$PART" --to "$TARGET" --layer "$LAYER" --align align \
    --activations "$WORK/target.h5" --data "$DATA" $TRAIN --name trained --replace --json
}

# 4. At work, and judged against the target by itself. Exit code 3 is a result like any other.
abi inject --from "parts:ffn.$PART" --to "$TARGET" --layer "$LAYER" --bridge trained \
  --pair-data "$DATA" --name probe --replace --json
# shellcheck disable=SC2086
abi nib --anchor "$TARGET" --candidate "probe@$TARGET" --eval-data "$DATA" ${NIB:-} || [ $? -eq 3 ]
abi list --kind injection
