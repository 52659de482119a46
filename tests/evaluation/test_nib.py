import gc
import json
import subprocess
import sys
import weakref

import pytest
import torch

from transplant.errors import CorpusError, InputError, ShapeError
from transplant.evaluation.agreement import ChunkScore
from transplant.evaluation.config import EXTENDED_SEEDS, NIBConfig
from transplant.evaluation.intervals import Interval
from transplant.evaluation.nib import CRITERIA, NIBResult, pick_chunks, run_nib

VOCAB = 300
SMALL = NIBConfig(chunks=3, chunk_length=40, skip=10, resamples=500)
WINDOWS = [range(i, i + 40) for i in range(12)]


def model(window, *, noise=0.0, seed=1):
    """Logits that follow from the window; `noise` moves them by another stream."""
    logits = torch.randn(len(window), VOCAB, generator=torch.Generator().manual_seed(window[0])) * 3
    other = torch.Generator().manual_seed(10_000 * seed + window[0])
    return logits + noise * torch.randn(len(window), VOCAB, generator=other)


def random_model(window):
    return torch.randn(len(window), VOCAB, generator=torch.Generator().manual_seed(99))


def result_with(chunks=5, **intervals):
    """A result whose criteria pass clearly except the ones given as (low, mean, high)."""
    clear = dict.fromkeys(("top5", "top1"), (0.9, 0.95, 1.0))
    clear |= dict.fromkeys(("js", "entropy"), (0.0, 0.01, 0.02))
    table = {name: Interval(*bounds) for name, bounds in (clear | intervals).items()}
    scores = (ChunkScore(492, 0, 0, 0, 0),) * chunks
    return NIBResult(NIBConfig(), (7777,), (*range(chunks),), scores, table)


def test_a_slightly_perturbed_candidate_passes():
    result = run_nib(WINDOWS, model, lambda w: model(w, noise=0.05), SMALL)
    assert result.verdict == "pass"
    assert result.passed
    assert all(verdict == "pass" for verdict in result.verdicts.values())


def test_a_random_candidate_fails():
    result = run_nib(WINDOWS, model, random_model, SMALL)
    assert result.verdict == "fail"
    assert not result.passed
    assert result.means["top5"] < 0.2


@pytest.mark.parametrize(
    ("criterion", "point", "fail"),
    [
        ("top5", (0.85, 0.86, 0.9), (0.8, 0.859, 0.9)),
        ("top1", (0.6, 0.68, 0.9), (0.6, 0.67, 0.9)),
        ("js", (0.0, 0.09, 0.1), (0.0, 0.1, 0.2)),
        ("entropy", (0.0, 0.3, 0.35), (0.0, 0.35, 0.4)),
    ],
)
def test_the_worst_criterion_decides(criterion, point, fail):
    assert result_with().verdict == "pass"
    between, below = result_with(**{criterion: point}), result_with(**{criterion: fail})
    assert (between.verdict, between.passed) == ("pass (point)", True)
    assert (below.verdict, below.passed) == ("fail", False)
    assert below.verdicts == dict.fromkeys(CRITERIA, "pass") | {criterion: "fail"}


def test_of_one_chunk_nothing_but_the_mean_is_known():
    assert result_with(2).verdict == "pass"
    alone = result_with(1)
    assert (alone.verdict, alone.passed) == ("pass (point)", True)
    failed = result_with(1, js=(0.2, 0.2, 0.2))
    assert failed.verdicts["js"] == failed.verdict == "fail"
    config = NIBConfig(chunks=1, chunk_length=40, skip=10, resamples=100)
    assert run_nib(WINDOWS, model, lambda w: model(w, noise=0.05), config).verdict == "pass (point)"


def test_a_candidate_at_the_threshold_passes_at_the_point_only():
    def uneven(window):
        return model(window, noise=2.0 if window[0] == odd_one else 0.01)

    odd_one = pick_chunks([40] * 12, SMALL)[0]
    assert run_nib(WINDOWS, model, uneven, SMALL).verdict == "fail"
    config = NIBConfig(
        chunks=3, chunk_length=40, skip=10, resamples=500, top5=0.5, top1=0.5, js=0.2, entropy=1.0
    )
    assert run_nib(WINDOWS, model, uneven, config).verdict == "pass (point)"


def test_the_first_positions_are_skipped():
    def bad_start(window):
        logits = model(window)
        logits[: SMALL.skip] = random_model(window)[: SMALL.skip]
        return logits

    result = run_nib(WINDOWS, model, bad_start, SMALL)
    assert result.means["top5"] == 1.0
    assert result.as_dict()["positions"] == 3 * 30


def test_at_most_one_chunk_is_alive():
    references = []

    def watched(window):
        assert not any(reference() is not None for reference in references[: 2 * calls["chunks"]])
        logits = model(window)
        references.append(weakref.ref(logits))
        return logits

    def counted(window):
        logits = watched(window)
        calls["chunks"] += 1
        return logits

    calls = {"chunks": 0}
    gc.disable()
    try:
        run_nib(WINDOWS, watched, counted, SMALL)
    finally:
        gc.enable()
    assert calls["chunks"] == 3
    assert all(reference() is None for reference in references)


def test_no_graph_is_kept():
    weight = torch.ones(VOCAB, requires_grad=True)
    seen = []

    def trained(window):
        logits = model(window) * weight
        seen.append(logits.requires_grad)
        return logits

    run_nib(WINDOWS, trained, model, SMALL)
    assert not any(seen)


def test_chunks_are_drawn_once_and_by_the_seed():
    config = NIBConfig(chunks=5, chunk_length=40)
    lengths = [40, 39, 50, 10] * 10
    picked = pick_chunks(lengths, config)
    assert len(set(picked)) == 5
    assert all(lengths[i] >= 40 for i in picked)
    assert pick_chunks(lengths, config, 7777) == picked
    assert pick_chunks(lengths, config, 1111) != picked


def test_the_extended_form_counts_each_window_once():
    read = []

    def reading(window):
        read.append(window[0])
        return model(window)

    result = run_nib(WINDOWS[:4], reading, model, SMALL, seeds=EXTENDED_SEEDS)
    assert sorted(read) == sorted(set(result.windows)) == [0, 1, 2, 3]
    assert result.seeds == EXTENDED_SEEDS
    assert result.as_dict()["chunks"] == 4


def test_the_result_is_json_with_its_keys():
    result = json.loads(json.dumps(run_nib(WINDOWS, model, model, SMALL).as_dict()))
    assert set(CRITERIA) | {"pass", "verdict", "interval", "thresholds", "seeds"} <= set(result)
    assert result["thresholds"] == {"top5": 0.86, "top1": 0.68, "js": 0.1, "entropy": 0.35}
    assert result["interval"]["top1"] == [1.0, 1.0]
    assert result["pass"] is True
    assert result["seeds"] == [7777]


def test_too_few_windows_say_how_many_are_needed():
    with pytest.raises(CorpusError, match=r"at least 3, found 2 \(of 5 windows\)"):
        pick_chunks([40, 39, 10, 39, 41], SMALL)


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ShapeError, match="position left"):
        run_nib(WINDOWS, model, lambda w: model(w)[:10], SMALL)
    with pytest.raises(ShapeError, match="vocabulary"):
        run_nib(WINDOWS, model, lambda w: model(w)[:, :-1], SMALL)
    with pytest.raises(InputError, match="seed"):
        run_nib(WINDOWS, model, model, SMALL, seeds=())


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": -1},
        {"chunks": 0},
        {"chunk_length": 20},
        {"skip": -1},
        {"top5": 1.1},
        {"top1": -0.1},
        {"js": 0.0},
        {"entropy": float("nan")},
        {"level": 1.0},
        {"resamples": 0},
    ],
)
def test_settings_out_of_range_are_an_error(fields):
    with pytest.raises(InputError, match=next(iter(fields))):
        NIBConfig(**fields)


def test_reading_the_defaults_loads_no_torch():
    code = "import sys, transplant.evaluation.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
