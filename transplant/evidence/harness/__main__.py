"""lm-eval's own command, which knows hosted models.

Example: python -m transplant.evidence.harness run --model abi \
    --model_args pretrained=python@ref-gpt2 --tasks blimp
"""

from __future__ import annotations

import sys

from lm_eval.__main__ import cli_evaluate

from transplant.errors import TransplantError

if __name__ == "__main__":
    try:
        cli_evaluate()
    except TransplantError as error:
        sys.exit(f"error {error}")
