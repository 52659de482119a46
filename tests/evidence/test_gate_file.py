"""Files of gates: bounds that hold, and faults that are named by line."""

from __future__ import annotations

import pytest

from transplant.errors import InputError
from transplant.evidence.validate.gate_file import Gate, Number, judge, read_gates
from transplant.evidence.validate.plan import ValidationPlan

METRICS = ValidationPlan(
    model="m", baseline="b", domains={"tales": "x"}, general={"prose": "prose"}
).metrics


def put(tmp_path, text: str):
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    return path


def test_gates_are_read_with_their_lines(tmp_path):
    path = put(tmp_path, "# tolerated\nforgetting.prose: {max: 0.02}\naccuracy.coref:\n"
                         "  min: 0.5\n  max: 1\n  by: interval\n")  # fmt: skip
    assert read_gates(path, METRICS) == (
        Gate("forgetting.prose", 2, 0.02, None, "value"),
        Gate("accuracy.coref", 3, 1.0, 0.5, "interval"),
    )


def test_a_gate_is_open_within_its_bounds_alone():
    gate = Gate("x", 1, most=0.5, least=0.1, by="value")
    whole = Gate("x", 1, most=0.5, least=0.1, by="interval")
    assert gate.passes(Number(0.5, 0.0, 0.9))
    assert not whole.passes(Number(0.5, 0.0, 0.9))
    assert whole.passes(Number(0.3, 0.1, 0.5))
    assert not gate.passes(Number(0.6, 0.55, 0.65))
    assert not gate.passes(Number(0.05, 0.0, 0.1))
    assert not gate.passes(Number(None, why="too short"))
    (judgement,) = judge([gate], {"x": Number(0.2)})
    assert judgement.passed
    assert "at least 0.1 and at most 0.5" in judgement.as_dict()["asked"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nforgeting.prose: {max: 1}\n", "yaml:2: no such metric 'forgeting.prose'"),
        ("ece.tales: {max: 1}\nece.tales: {max: 2}\n", "yaml:2: 'ece.tales' appears twice"),
        ("ece.tales:\n  max: 1\n  most: 2\n", "yaml:3: 'most'"),
        ("ece.tales: {max: much}\n", "yaml:1: max: expected a number, found 'much'"),
        ("ece.tales: {max: '1'}\n", "yaml:1: max"),
        ("ece.tales: {max: .nan}\n", "yaml:1: max"),
        ("ece.tales: {max: .inf}\n", "yaml:1: max"),
        ("ece.tales: {max: 0x10}\n", "yaml:1: max"),
        ("ece.tales: {max: true}\n", "yaml:1: max"),
        ("ece.tales: {max: [1]}\n", "yaml:1: max"),
        ("ece.tales: {}\n", "no bound"),
        ("ece.tales: {min: 2, max: 1}\n", "min above max"),
        ("ece.tales: 1\n", "yaml:1: expected a mapping"),
        ("- ece.tales\n", "yaml:1: expected a mapping"),
        ("ece.tales: {max: 1, by: mood}\n", "yaml:1: by"),
        ("drift.psi.tales: {max: 1, by: interval}\n", "has no interval"),
        ("? [a, b]\n: {max: 1}\n", "yaml:1: expected a word"),
        ("ece.tales: {max: 1\n", "is no YAML"),
        ("a: !!python/object:os.system {max: 1}\n", "no such metric"),
        ("", "nothing"),
    ],
)
def test_a_fault_is_named_by_its_line(tmp_path, text, said):
    with pytest.raises(InputError) as caught:
        read_gates(put(tmp_path, text), METRICS)
    assert said in str(caught.value)


def test_files_that_are_none_are_refused(tmp_path):
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(Exception, match=r"missing\.yaml|regular file"):
            read_gates(path, METRICS)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes\.yaml"):
        read_gates(tmp_path / "bytes.yaml", METRICS)


def test_a_plan_names_every_metric_once():
    assert len(set(METRICS)) == len(METRICS)
    assert {"perplexity.tales", "forgetting.prose", "nib.js.prose", "accuracy.coref"} <= set(
        METRICS
    )
    assert "forgetting.tales" not in METRICS
    for wrong in (
        {"suite": "huge"}, {"domains": {"a": "x"}, "general": {"a": "y"}},
        {"pairs": {"coref": "x"}},
    ):  # fmt: skip
        with pytest.raises(InputError):
            ValidationPlan(model="m", baseline="b", **wrong)
