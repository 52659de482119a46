"""lm-eval's own command, which knows hosted models.

Example: python -m transplant.evidence.harness run --model abi \
    --model_args name=python@ref-gpt2 --tasks blimp
"""

from __future__ import annotations

from lm_eval.__main__ import cli_evaluate

if __name__ == "__main__":
    cli_evaluate()
