#!/usr/bin/env python3
"""Makes a new version of a base: further pre-training on other text, for `bench_peers.py`.

    ABI_REGISTRY=DIR python tests/benchmarks/update_base.py [--base ref-gpt2] [--name ref-gpt2-up]

300 steps of four windows of 256 tokens of `prose2`, at a twentieth of the rate of pre-training; the
new version is a backbone of the registry.
"""

from __future__ import annotations

import argparse
import sys

from transplant import Workspace
from transplant.backbones.load import view_of
from transplant.training.config import UpdateConfig
from transplant.training.update import update_backbone
from transplant.workflows.corpus import read_splits, windows_of
from transplant.workflows.vocabulary import store_backbone

TEXT, TOKENS = "prose2", 400_000


def main() -> int:
    """Updates and stores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default="ref-gpt2")
    parser.add_argument("--name", default="ref-gpt2-up")
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    work, config = Workspace(), UpdateConfig(steps=options.steps)
    base = work.backbone(options.base)
    windows = windows_of(base, read_splits(work, TEXT).train, config.window, TOKENS)
    updated = update_backbone(base, windows, config).backbone
    made = {"updated": options.base, "corpus": TEXT, "steps": options.steps}
    store_backbone(work, view_of(options.name, updated.model, updated.tokenizer), made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
