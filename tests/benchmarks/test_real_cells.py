"""Cells between real models: what was asked for with other options is another cell."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from commands.app import app
from tests.benchmarks import bench_real
from tests.benchmarks.own_process import Ran
from tests.benchmarks.real_cells import PAIRS, Training, cell_of, cells, training_of, trainings
from tests.benchmarks.real_tables import tables, with_spread

ASKED = argparse.Namespace(
    donors=["smollm2"], domains=["pascal"], d_abi=[128], seeds=[0], pairs=["domain", "32k"],
    change="lacking", inside="continued", steps=100, eval_tokens=10_000, curve_steps=60,
)  # fmt: skip
TRAIN = (
    "abi train --backbone {} --domain pascal --data p.jsonl --name pascal-s0 --d-abi 128 --seed 0"
    " --tokens 100000 --steps 100 --eval-tokens 10000 --replace"
)
OLD = {
    "donor": "smollm2", "target": "gemma", "domain": "pascal", "d_abi": 128, "seed": 0,
    "change": "lacking", "inside": "continued",
}  # fmt: skip


def asked(**other):
    return [*cells(argparse.Namespace(**{**vars(ASKED), **other}))]


@pytest.mark.parametrize(
    "other",
    [{"steps": 300}, {"eval_tokens": 500}, {"change": "begins-with"}, {"inside": "nothing"}],
)
def test_another_option_is_another_cell(other):
    assert not {*asked()} & {*asked(**other)}


def test_the_steps_of_a_curve_count_where_there_is_one():
    one, curve = asked()
    other, longer = asked(curve_steps=150)
    assert one == other
    assert curve != longer


def test_a_record_without_its_options_is_completed_by_what_was_run():
    results = {
        "train": {
            f"pascal-s0@{name}/d128": {"command": TRAIN.format(name)}
            for name in ("smollm2", "gemma")
        },
    }
    moved = {"cell": {**OLD, "pair": "domain"}, "command": "abi transfer --eval-tokens 10000"}
    curve = {
        "cell": {**OLD, "pair": "32k"},
        "command": "abi transfer --eval-tokens 10000 --steps 60",
    }
    skipped = {"cell": {**OLD, "pair": "domain"}, "skipped": "the native gains 0.010"}
    assert [cell_of(moved, results), cell_of(curve, results)] == asked()
    assert cell_of(skipped, results) == asked()[0]
    assert cell_of(moved, {"train": {}}) not in asked()  # the control: nobody knows how it trained
    new = asked(steps=7)[1]
    assert cell_of({"cell": json.loads(json.dumps(asdict(new)))}, results) == new


def test_a_training_is_found_by_its_settings():
    wanted = Training("gemma", "pascal", 128, 0, 100, 10_000)
    record = {"command": TRAIN.format("gemma")}
    assert training_of(record["command"]) == wanted
    assert [*trainings({"train": {"any": record}}, wanted)] == [record]
    assert not [*trainings({"train": {"any": record}}, replace(wanted, steps=300))]


def report_of(name, d_abi, share=0.5):
    """The parts of a report that a cell reads."""
    bits = {"raw": 1.2, "native": 1.0, "candidate": 1.1}
    nats = {"nats": 0.5, "interval": [0.4, 0.6]}
    return {
        "name": name, "d_abi": d_abi, "ppl": {"raw": 9.0, "native": 5.0},
        "difference": {"raw": nats}, "recovered": {"candidate": share, "random": 0.1},
        "donor_attributable": share, "module_attributable": None, "nib": {"top5": 0.75},
        "sources": {"in_source": {"bits_per_byte": bits}, "out_of_source": {}},
    }  # fmt: skip


class Recorded(bench_real.Bench):
    """A bench that tells what it ran."""

    ran: list[tuple[str, ...]]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A bench whose verbs make at once what they name; `ran` has their words."""
    ran = []

    def stand_in(registry, *words, **_):
        ran.append(words)
        given = dict(zip(words, words[1:], strict=False))
        report = report_of("moved", 128, 0.4 + int(given["--seed"]) / 10)
        if words[0] == "train":
            name = given["--name"]
            report = report_of(f"{name}@{given['--backbone']}", int(given["--d-abi"]))
            place = registry / given["--backbone"] / f"d{given['--d-abi']}" / "module" / name
            place.mkdir(parents=True, exist_ok=True)
            (place / "manifest.json").write_text("{}")
        return Ran(
            text=json.dumps(report), seconds=1.0, peak_mib=10, cpu_seconds=1.0, anonymous_mib=5
        )

    monkeypatch.setattr(bench_real, "run_alone", stand_in)
    made = Recorded(tmp_path / "real", tmp_path / "real.json")
    made.ran = ran
    return made


def test_other_steps_are_run_beside_those_that_there_are(bench):
    (cell,) = asked(pairs=["domain"])
    bench.run(cell)
    bench.run(cell)
    assert [words[0] for words in bench.ran] == ["train", "train", "transfer"]
    longer = replace(cell, steps=300)
    bench.run(longer)
    assert [words[0] for words in bench.ran[3:]] == ["train", "train", "transfer"]
    again = bench_real.Bench(bench.real, bench.out)
    assert [cell_of(move, again.results) for move in again.results["moves"]] == [cell, longer]
    for cell_again in (cell, longer):
        again.run(cell_again)
    assert len(bench.ran) == 6
    modules = [words[words.index("--module") + 1] for words in bench.ran if words[0] == "transfer"]
    assert len({*modules}) == 2  # neither training has taken the other's place


def test_a_move_of_every_kind_asks_for_nothing_that_its_verb_refuses(bench, tmp_path):
    """Run against nothing at all, it is the module that is missing, and no option is in the way."""
    for cell in asked(pairs=PAIRS):
        bench.run(cell)
    moves = [words for words in bench.ran if words[0] == "transfer"]
    assert len(moves) == len(PAIRS)
    for words in moves:
        ran = CliRunner().invoke(
            app, [*words, "--json"], env={"ABI_REGISTRY": str(tmp_path / "empty")}
        )
        error = json.loads(ran.stdout)
        assert (ran.exit_code, error["error"]) == (1, "NotFoundError"), error
        assert error["what"].startswith("no module pascal-s0"), error


def test_tables_have_bits_per_byte_and_means_over_seeds(bench):
    for cell in asked(pairs=["domain"], seeds=[0, 1, 2]):
        bench.run(cell)
    console = Console(width=240, record=True, file=sys.stderr)
    console.print(*tables(bench.results))
    text = console.export_text()
    assert "1.200, 1.000, 1.100" in text
    assert "0.500 ± 0.100" in text
    assert "0, 1, 2" in text
    assert "no ceiling" in text  # of a share that there is not there is no mean


def test_a_spread_needs_two_seeds():
    assert with_spread([0.25]) == "0.250"
    assert with_spread([0.25, 0.75], "+.2f") == "+0.50 ± 0.35"
    assert with_spread([0.25, None]) == "no ceiling"
