"""Jobs are refused where they are made, before anything is loaded, and name what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.store import Registry
from transplant.calibration.students.recipe import LoraRecipe
from transplant.errors import InputError
from transplant.training.config import TrainConfig
from transplant.validation import check_held
from transplant.workflows.basis.spec import AdaptJob, CompareJob, CompressJob
from transplant.workflows.move.ablation_job import ABLATED, AblationJob
from transplant.workflows.move.curve_job import CurveJob
from transplant.workflows.train.core_job import CoreJob
from transplant.workflows.train.job import TrainJob
from transplant.workflows.transfer.job import TransferJob
from transplant.workspace import Workspace

LEARNED = {"to": "b", "donor": "a", "tuned": "./lora", "domain": "python"}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "found neither"),
        ({"module": "x@a", "donor": "a"}, "both `module` and `donor`"),
        ({"module": "x@a", "tuned": "y"}, "`tuned` belongs to `donor`"),
        ({"module": "x@a", "lora_rank": 4}, "`lora_rank` belongs to `donor`"),
        ({"module": "x@a", "no_intercept": True}, "`no_intercept` belongs to `donor`"),
        ({"module": "x@a", "student": "linear"}, "`student='linear'` learns from a tuned copy"),
        ({"donor": "a"}, "`tuned` beside it"),
        ({"donor": "a", "tuned": "y"}, "`domain` beside it"),
        ({"teachers": ("x@a", "y@a")}, "`domain` beside it"),
        ({"teachers": ("x@a",), "domain": "d", "tuned": "y"}, "`tuned` belongs to `donor`"),
        ({"teachers": ("x@a",), "domain": "d", "general": "z@a"}, "`general` belongs to one donor"),
        ({**LEARNED, "student": "linear", "lora_rank": 4}, "belongs to `student='lora'`"),
        ({"module": "x@a", "students": ("linear",)}, "`students` belongs to `donor`"),
        ({**LEARNED, "student": "lora", "students": ("lora",)}, "`students` belongs to"),
        ({**LEARNED, "students": ("linear", "wise")}, "`students`.*found wise"),
        ({**LEARNED, "students": ("linear",), "lora_rank": 4}, "belongs to `student='lora'`"),
        ({**LEARNED, "students": ("lora",), "no_intercept": True}, "`student='linear'`"),
        ({**LEARNED, "student": "copy", "lora_steps": 4}, "`lora_steps` belongs to"),
        ({**LEARNED, "students": ("copy",), "lora_alpha": 4.0}, "`lora_alpha` belongs to"),
    ],
)
def test_what_does_not_belong_together_is_refused_by_the_name_of_a_parameter(asked, says):
    with pytest.raises(InputError, match=says):
        TransferJob(**{"to": "b", **asked})


def test_a_transfer_knows_what_is_moved_as_it_is_and_what_a_student_learns():
    assert TransferJob(module="x@a", to="b").moved == "x@a"
    assert TransferJob(module="x@a", to="b", student="module").moved == "x@a"
    assert TransferJob(**LEARNED).moved is None
    whole = {"to": "b", "donor": "a", "tuned": "x@a", "student": "module"}
    assert TransferJob(**whole).moved == "x@a"
    asked = TransferJob(**LEARNED, lora_rank=4, lora_targets=("q_proj",)).recipe
    assert asked == LoraRecipe(rank=4, targets=("q_proj",))
    assert TransferJob(**LEARNED).recipe == LoraRecipe()
    assert TransferJob(**LEARNED, name="mine").about == LEARNED["domain"]
    assert TransferJob(to="b", donor="a", tuned="./lora", name="law").about == "law"
    assert TransferJob(module="x@a", to="b", name="law").about is None
    both = TransferJob(**LEARNED, students=("linear", "lora"), lora_rank=4, no_intercept=True)
    assert both.recipe == LoraRecipe(rank=4)
    cut = {"lora_rank": 4, "lora_targets": ("q_proj",)}
    for copied in ({"student": "copy"}, {"students": ("linear", "copy")}):
        assert TransferJob(**LEARNED, **copied, **cut).recipe == asked


def test_a_curve_is_refused_without_budgets_or_beside_other_sources(tmp_path):
    for idle in ({"seeds": 2}, {"steps": 3}, {"out": tmp_path}):
        with pytest.raises(InputError, match="belong to a curve"):
            CurveJob(**idle)
        CurveJob(budgets=(0, 600), **idle)
    for none in ((), (0,)):
        with pytest.raises(InputError, match="above 0"):
            CurveJob(budgets=none)
    pytest.importorskip("matplotlib")
    CurveJob(budgets=(600,), out=tmp_path).check()
    with pytest.raises(InputError, match="of one source"):
        CurveJob(budgets=(600,), out=tmp_path).check({"other": "path"})
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match="expected a folder"):
        CurveJob(budgets=(600,), out=file).check()


@pytest.mark.parametrize("what", ABLATED)
def test_an_ablation_takes_what_it_reads_and_nothing_else(what):
    given = {
        "only": ("kd",), "modules": ("donor",), "steps": 1, "tokens": 64, "seeds": 1,
        "native": "none", "also_eval": {"x": "y"},
    }  # fmt: skip
    for name, value in given.items():
        if name in ABLATED[what]:
            assert getattr(AblationJob(what=what, **{name: value}), name) == value
        else:
            with pytest.raises(InputError, match=f"has no use for `{name}`"):
                AblationJob(what=what, **{name: value})


def test_an_unknown_ablation_and_a_count_below_its_bound_are_refused():
    with pytest.raises(InputError, match="cannot ablate 'magic'"):
        AblationJob(what="magic")
    with pytest.raises(InputError, match="tokens`: expected at least 64"):
        AblationJob(what="controls", tokens=63)


def test_the_training_of_a_module_fills_in_what_was_not_said():
    assert (TrainJob("b", "law").source, TrainJob("b", "law").called) == ("law", "law")
    assert TrainJob("dir/2M", "law", form="full").called == "2M-law"
    assert TrainJob("b", "law", "text.txt", "mine").source == "text.txt"
    assert TrainJob("b", "law", "text.txt", "mine", form="lite").called == "mine"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"form": "huge"}, "`form`: expected one of lite, full"),
        ({"form": "full", "config": TrainConfig(d_abi=64)}, "reads what the core reads"),
        ({"form": "full", "config": TrainConfig(taps=())}, "reads what the core reads"),
        ({"activations": Path("a.h5"), "data": "x"}, "the text is in the file"),
        ({"activations": Path("a.h5"), "also_eval": {"x": "y"}}, "no text to compare"),
    ],
)
def test_a_training_that_makes_no_sense_is_refused(more, says):
    with pytest.raises(InputError, match=says):
        TrainJob("b", "law", **more)
    TrainJob("b", "law", config=TrainConfig(d_abi=64))  # behind an interface it may


def test_a_core_is_called_as_its_size_and_an_unknown_size_is_refused():
    assert CoreJob(size="2M").called == "2M"
    assert CoreJob(size="2M", baseline=True).called == "2M-plain"
    assert CoreJob(size="2M", baseline=True, name="mine").called == "mine"
    assert CoreJob(size="5M").shape.d_model == 256
    with pytest.raises(InputError, match="`size`: expected one of 2M"):
        CoreJob(size="3M")
    with pytest.raises(InputError, match="`vocab`: expected at least 300"):
        CoreJob(size="2M", vocab=299)


@pytest.mark.parametrize("tokens", [0, 63, -1, 100.5, "400"])
def test_too_few_held_out_tokens_are_refused_in_python_as_they_are_typed(tmp_path, tokens):
    jobs = (
        lambda: TrainJob("b", "law", eval_tokens=tokens),
        lambda: CoreJob(size="2M", eval_tokens=tokens),
        lambda: AdaptJob(basis="b@x", domain="law", eval_tokens=tokens),
        lambda: CompressJob(basis="b@x", ratio=0.5, out=tmp_path, eval_tokens=tokens),
        lambda: CompareJob(backbone="b", domain="law", out=tmp_path, eval_tokens=tokens),
        lambda: check_held(tokens),
    )
    for make in jobs:
        with pytest.raises(InputError, match="`eval_tokens`: expected"):
            make()
    check_held(64)


def test_a_move_with_too_few_held_out_tokens_is_refused_before_it_is_loaded(tmp_path):
    work = Workspace(library=Registry.open(tmp_path))
    move = work.move("python-shipped@ref-gpt2", to="ref-llama")
    tuned = work.move_tuned("ref-gpt2", "python-shipped@ref-gpt2", "ref-llama", domain="python")
    for one in (move, tuned):
        with pytest.raises(InputError, match="`eval_tokens`"):
            one.evidence(eval_tokens=0)
        assert not {"donor", "target", "_loaded"} & vars(one).keys()
