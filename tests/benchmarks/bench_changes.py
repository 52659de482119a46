"""Changes of logits across tokenizers side by side: push-forward, begins-with, shrinkage, chunks.

    python tests/benchmarks/bench_changes.py --text DONORS_TEXT
        [--pairs ref-gpt2:ref-llama] [--methods "push-forward;..."] [--out FILE] [--show]
    python tests/benchmarks/bench_changes.py --beside [--pairs ...]   # both models side by side
    python tests/benchmarks/bench_changes.py --written [--methods ...]   # the donor writes itself

`ABI_REGISTRY` holds `python` modules on the backbones, or those of `--module`; `--text` is what the
donor has written, or any text to pair on. A method is a row, and what the result file holds is not
computed again, so that a run can be stopped at any time. Methods of one pair share the rows that
both have read, and the input map, which are files of `--folder`.
With `--written` the donor writes, which is synthetic text, and a share of it may be kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

from tests.benchmarks.change_rows import METHODS, WRITTEN
from tests.benchmarks.stages import Stages, staged_move
from transplant.calibration.changes.spec import CHANGES
from transplant.calibration.config import CONTINUED, FIRST, LEFT_OUT, PRODUCT, MoveConfig
from transplant.evaluation.evidence import Ceiling
from transplant.evaluation.likelihood import score_documents
from transplant.files.json_text import to_json
from transplant.tables.shares import bounds_text, share_text
from transplant.workflows.corpus import DONOR, windows_of
from transplant.workflows.move.ceiling import score_move_beside
from transplant.workflows.move.native import native_correction
from transplant.workflows.move.side_by_side import Beside
from transplant.workflows.move.whole import WholeMove
from transplant.workspace import Workspace

RAW, GAINS, CALIBRATION_TOKENS = (0.0, 0.3), (0.5, 0.75, 1.0, 1.25), 6_000


def main() -> int:
    """Runs the methods that were asked for, and prints all that there are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--text", default="donor", help="what is paired on")
    parser.add_argument("--text-name", default="donor", help="what it is called in the result")
    parser.add_argument("--pairs", default="ref-gpt2:ref-llama")
    parser.add_argument("--module", default="python", help="on the donor, and native on the target")
    parser.add_argument("--methods", default="")
    parser.add_argument("--excerpts", type=int, default=500)
    parser.add_argument("--eval-tokens", type=int, default=40_000)
    parser.add_argument("--out", type=Path, default=Path("examples/results/changes.json"))
    parser.add_argument("--beside", action="store_true", help="ceilings alone, of every change")
    parser.add_argument("--written", action="store_true", help="the donor writes the text")
    parser.add_argument("--text-chars", type=int, default=MoveConfig.text_chars)
    parser.add_argument("--folder", type=Path, default=Path("changes-work"), help="what is read")
    parser.add_argument("--show", action="store_true", help="print the table, run nothing")
    options = parser.parse_args()
    rows = json.loads(options.out.read_text())["rows"] if options.out.is_file() else []
    known = WRITTEN if options.written else METHODS
    methods = [*known] if not options.methods else options.methods.split(";")
    if unknown := [name for name in methods if name not in known]:
        parser.error(f"--methods: {'; '.join(unknown)}; of {'; '.join(known)}")
    if options.written:
        options.text_name = "written"
    for pair in [] if options.show else options.pairs.split(","):
        donor, target = pair.split(":")
        done = {row["method"] for row in rows if row["pair"] == pair
                and row["text"] == options.text_name
                and row.get("module", "python") == options.module}  # fmt: skip
        missing = [name for name in methods if name not in done]
        if options.beside:
            rows += beside(donor, target, options.eval_tokens)
            options.out.write_text(to_json({"rows": rows}, 1) + "\n")
        elif options.written:
            for name in missing:
                rows.append(written(donor, target, name, options))
                options.out.write_text(to_json({"rows": rows}, 1) + "\n")
        else:
            for name in missing:
                rows.append(measured(donor, target, name, options))
                options.out.write_text(to_json({"rows": rows}, 1) + "\n")
    for row in rows:
        share = row["recovered"]
        print(f"{row['pair']:22} {row['text']:8} {row['method']:36} {row['change']:13}"
              f" {row['donor_word']:g} {row['gain']:<6g} {row['loss']:.4f}  "
              f"{share_text(share)} ({bounds_text(row['interval'])})"
              f"  {row['seconds']:.0f} s")  # fmt: skip
    return 0


def measured(donor: str, target: str, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The row of one method of one pair; its seconds are those of its own fit."""
    config = MoveConfig(
        text_chars=options.text_chars, excerpts=options.excerpts, inside=CONTINUED, longer=PRODUCT
    )
    named, stages = f"{options.module}@{donor}", Stages(options.folder)
    stage = f"{named} {target} {options.text_name} {options.text_chars} {options.excerpts}"
    move = staged_move(stages, stage, WholeMove(
        Workspace(), named, target, options.text, "python", config
    ))  # fmt: skip
    move.__dict__["bridge"] = stages.get(f"bridge {stage}", lambda: move.bridge)
    changed, choice = METHODS[name]
    asked = {"inside": LEFT_OUT, "longer": FIRST} | changed
    move.__dict__.pop("fitting", None)  # that of the rows, which hold what any method reads
    move.config = dataclasses.replace(config, **asked)

    def fit() -> tuple[Any, ...]:
        learned = move.by(choice)
        return learned.calibrated, learned.choice.config, learned.choice.tried

    fitted, chosen, tried = stages.get(f"{name} {stage}", fit)
    seconds = round(stages.seconds[f"{name} {stage}"], 1)
    print(f"{name}: {seconds} s, {fitted.loss:.4f}", file=sys.stderr)
    systems = {
        "raw": None, "native": native_correction(move, options.module), "moved": fitted.correction,
    }  # fmt: skip
    windows = windows_of(move.target, move.domain_text.eval, 512, options.eval_tokens)
    scored = score_documents(move.target, windows, systems)
    return {
        "pair": f"{donor}:{target}", "module": options.module, "text": options.text_name,
        "text_chars": options.text_chars, "method": name, "excerpts": options.excerpts,
        "pairs": move.pairing.fitted.rows, "change": chosen.change, "longer": chosen.longer,
        "shrink": chosen.shrink, "donor_word": chosen.donor_word, "gain": fitted.gain,
        "loss": fitted.loss, "tried": [dataclasses.asdict(way) for way in tried],
        "seconds": seconds,
        "eval_tokens": options.eval_tokens, "ppl": scored["moved"].perplexity,
        **Ceiling(scored).row("moved"),
    }  # fmt: skip


def written(donor: str, target: str, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The row of one method on what the donor writes, its writing included in the seconds.

    The text and the paired rows are on the disk, for all methods that share them.
    """
    how, work, stages = WRITTEN[name], Workspace(), Stages(options.folder)
    config = MoveConfig(
        excerpts=how.excerpts, keep=how.keep, changes=(how.change,), inside=how.inside,
        less_general=how.less or 0.0,
    )  # fmt: skip
    general = None if how.less is None else f"prose@{donor}"
    move = WholeMove(
        work, f"python@{donor}", target, DONOR, "python", config, text_free=how.text_free,
        general=general,
    )  # fmt: skip
    stage = f"{donor} {target} {how.excerpts} {how.keep}" + (" general" if general else "")
    stage += "" if how.inside == LEFT_OUT else f" {how.inside}"
    move = staged_move(stages, stage, move)
    began = time.process_time()
    move = move.by(how.choice)
    fitted, chosen = move.calibrated, move.choice
    seconds = round(time.process_time() - began + sum(stages.seconds.values()), 1)
    systems = {
        "raw": None, "native": native_correction(move, None), "moved": fitted.correction,
    }  # fmt: skip
    windows = windows_of(move.target, move.domain_text.eval, 512, options.eval_tokens)
    scored = score_documents(move.target, windows, systems)
    return {
        "pair": f"{donor}:{target}", "text": "written", "method": name,
        "excerpts": how.excerpts, "keep": how.keep, "text_free": how.text_free,
        **move.writing.facts(), "objective": how.choice.objective,
        "pairs": move.pairing.fitted.rows,
        "change": chosen.config.change, "inside": how.inside,
        "donor_word": chosen.config.donor_word,
        "gain": fitted.gain, "loss": fitted.loss, "seconds": seconds,
        "eval_tokens": options.eval_tokens, "ppl": scored["moved"].perplexity,
        **Ceiling(scored).row("moved"), **move.general_facts,
    }  # fmt: skip


def beside(donor: str, target: str, eval_tokens: int) -> list[dict[str, Any]]:
    """What donor and target recover side by side, by change: with and without the raw log ratio."""
    move = WholeMove(Workspace(), f"python@{donor}", target, "python", "python", MoveConfig())
    native, text = native_correction(move, None), move.domain_text
    ways = {
        f"{number}": Beside(weight, gain, change)
        for number, (change, weight, gain) in enumerate(product(CHANGES, RAW, GAINS))
    }
    began = time.monotonic()
    tried = score_move_beside(move, text.calibration, CALIBRATION_TOKENS, {"raw": None}, ways)
    best = {
        (change, weight > 0): min(
            (name for name, way in ways.items()
             if way.change == change and way.raw_weight in (0.0, weight)),
            key=lambda name: tried.likelihoods[name].per_token,
        )
        for change, weight in product(CHANGES, RAW)
    }  # fmt: skip
    shown = {name: ways[name] for name in best.values()}
    systems = {"raw": None, "native": native}
    found = score_move_beside(move, text.eval, eval_tokens, systems, shown)
    ceiling, rows = Ceiling(found.likelihoods), []
    for (change, raw), name in best.items():
        way = ways[name]
        rows.append({
            "pair": f"{donor}:{target}", "text": "beside", "change": change,
            "method": f"{change}{', with raw' if raw else ''}", "donor_word": way.raw_weight,
            "gain": way.gain, "loss": tried.likelihoods[name].per_token,
            "eval_tokens": eval_tokens, "ppl": found.likelihoods[name].perplexity,
            "paired_share": found.paired_share, **ceiling.row(name),
            "seconds": round(time.monotonic() - began, 1),
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
