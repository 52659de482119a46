#!/usr/bin/env bash
# Train two small cores apart, a chess and a python module side by side in one, and take one along.
#
#   examples/grow_two_cores.sh                         about two hours on two CPU cores
#   TOKENS=300000 examples/grow_two_cores.sh           a quick look
#
# Needs the extra `chess` (pip install 'abi-transplant[chess]') for the games to train on.
set -euo pipefail

HERE=$(dirname "$0")
DATA=${DATA:-prose}           # what the cores read
DOMAIN=${DOMAIN:-python}      # the module that is moved
TOKENS=${TOKENS:-3000000}
GAMES=${GAMES:-2000}
CORE=(--size 2M --data "$DATA" --tokens "$TOKENS" --tokenizer ref-gpt2 ${CORE_OPTIONS:-})
TRAIN=(--form lite ${TRAIN_OPTIONS:-})

# 1. Two cores of one shape and different seeds, and the plain transformer beside the first.
abi train-core "${CORE[@]}" --name core-a --seed 0
abi train-core "${CORE[@]}" --name core-b --seed 1
abi train-core "${CORE[@]}" --name core-a-plain --seed 0 --baseline
abi compare core-a

# 2. Two modules side by side in one core. Neither changes a tensor of the core or of the other.
python "$HERE/make_games.py" --games "$GAMES" --out games.pgn
abi train --backbone core-a --domain "$DOMAIN" --domain-data "${DOMAIN_DATA:-$DOMAIN}" "${TRAIN[@]}"
abi train --backbone "core-a-$DOMAIN" --domain chess --domain-data games.pgn "${TRAIN[@]}"

# 3. Pasted, the module is the same bits in a core that never saw it.
abi paste --from "core-a-$DOMAIN-chess" --to core-b --name core-b-pasted
abi verify paste --from "core-a-$DOMAIN-chess" --to core-b-pasted --domain chess

# 4. Moved, it works there. The table shows the paste, the native module and the controls beside it.
abi transfer --module "$DOMAIN@core-a-$DOMAIN" --to core-b ${MOVE_OPTIONS:-}
