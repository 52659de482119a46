"""Log-likelihoods of documents by `abi perplexity` and by lm-eval, of a trained move and its sides.

    python tests/benchmarks/bench_likelihood.py [--documents 20] [--out FILE]

The Python module of ref-gpt2 that is shipped in ref-llama, the shipped native of ref-llama and the
raw backbone read the beginnings of held-out documents of `python`, in float32. lm-eval is given the
first token and asked for the rest, as `perplexity` counts. A text of 200 characters, some 250 nats,
may differ by 1e-4 nats. lm-eval adds in float32, where one of 1,300 nats is known to 1.2e-4 alone:
texts of 1,000 characters may differ by 1e-6 of their nats. Exit 1 where one does by more. A minute
on one core.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from registry.store import Registry
from transplant import Workspace
from transplant.evaluation.perplexity_config import PerplexityConfig
from transplant.files.results import write_json
from transplant.text.documents import read_documents
from transplant.text.splits import split_documents

TARGET = "ref-llama"
MODELS = (f"python-shipped-from-ref-gpt2@{TARGET}", f"python-shipped@{TARGET}", TARGET)
APART = 1e-4  # nats of a text of 200 characters
SHARE = 1e-6  # of the nats of one of 1,000


def beginnings(work: Workspace, documents: int, chars: int) -> list[str]:
    """The first characters of held-out documents, of those that fit into a context."""
    backbone = work.backbone(TARGET)
    held = split_documents(read_documents("python", max_chars=3_000_000)).eval
    cut = (document.text[:chars].strip() for document in held)
    fits = (text for text in cut if len(backbone.tokenizer(text).input_ids) < backbone.context)
    return list(itertools.islice(fits, documents))


def by_lm_eval(work: Workspace, name: str, texts: list[str]) -> list[float]:
    """Nats of each text but its first token, of lm-eval."""
    from lm_eval.api.instance import Instance

    from transplant.evidence.harness.model import AbiLM

    model = work.load(name)
    requests = []
    for text in texts:
        end = model.tokenizer(text, return_offsets_mapping=True)["offset_mapping"][0][1]
        requests.append(Instance("loglikelihood", {}, (text[:end], text[end:]), 0))
    return [-found for found, _ in AbiLM(model).loglikelihood(requests, disable_tqdm=True)]


def compare(work: Workspace, texts: list[str], file: Path, chars: int) -> list[dict[str, Any]]:
    """A row for each model: the largest differences of a text, in nats and as a share of them."""
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    config = PerplexityConfig(eval_tokens=10**7, whole=True)
    rows = []
    for row in work.perplexity(MODELS, str(file), config=config)["models"]:
        ours = [document["nats"] for document in row["per_document"]]
        theirs = by_lm_eval(work, row["model"], texts)
        apart = [abs(one - other) for one, other in zip(ours, theirs, strict=True)]
        shares = [by / nats for by, nats in zip(apart, ours, strict=True)]
        rows.append({
            "model": row["model"], "chars": chars, "documents": len(texts),
            "tokens": sum(document["tokens"] for document in row["per_document"]),
            "nats": sum(ours), "most_apart": max(apart), "largest_share": max(shares),
            "pass": max(apart) <= APART if chars == 200 else max(shares) <= SHARE,
        })  # fmt: skip
    return rows


def main() -> int:
    """Measures, prints a line a model, and says by its exit code whether all agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(library=Registry.open(Path(folder, "registry")), dtype="float32")
        for chars in (200, 1_000):
            texts = beginnings(work, asked.documents, chars)
            rows += compare(work, texts, Path(folder, f"{chars}.jsonl"), chars)
    for row in rows:
        print(
            f"{row['model']}, {row['documents']} texts of {row['chars']} characters,"
            f" {row['nats']:,.3f} nats: most apart {row['most_apart']:.1e},"
            f" {row['largest_share']:.1e} of a text's nats: {'ok' if row['pass'] else 'APART'}"
        )
    if asked.out:
        write_json(asked.out, {"models": rows})
    return 0 if all(row["pass"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
