"""Defaults that the help of an option writes out are those that count.

An option whose default stands in its declaration shows that; words are for one that depends on
something else, or that must be told from a value that was typed.
"""

from __future__ import annotations

import inspect
import re
from typing import get_args

import pytest

from commands.options.groups import parameters_of
from commands.verb_table import VERBS, find_verb
from transplant.basis.config import GRADIENT_SHRINKAGE, STEP
from transplant.calibration.objectives.config import LearnConfig
from transplant.calibration.students.recipe import LoraRecipe
from transplant.descriptions import descriptions_of
from transplant.evaluation.uq_config import MEMBERS, SCALE
from transplant.surgery.embeddings.config import ATOMS, CALIBRATION_TOKENS
from transplant.surgery.inject.config import InjectConfig
from transplant.workflows.demo import REAL, SHIPPED
from transplant.workflows.move.ablation import Sizes

NAMES = [name for names in VERBS.values() for name in names]
WRITTEN = {
    ("transfer", "lora_rank"): [LoraRecipe.rank],
    ("transfer", "lora_alpha"): [LoraRecipe.alpha],
    ("transfer", "lora_steps"): [LoraRecipe.steps],
    ("calibrate", "chunks"): [LearnConfig.chunks],
    ("transfer", "chunks"): [LearnConfig.chunks],
    ("inject", "mixture"): [InjectConfig.mixture],
    ("basis fit", "shrinkage"): [0, GRADIENT_SHRINKAGE],
    ("basis allocate", "step"): [STEP, 1],
    ("embed-init", "atoms"): [ATOMS],
    ("embed-init", "calibration_tokens"): [CALIBRATION_TOKENS],
    ("ablate", "tokens"): [Sizes.tokens],
    ("ablate", "seeds"): [Sizes.seeds],
    ("uq", "members"): [MEMBERS],
    ("uq", "scale"): [SCALE],
    ("demo", "steps"): [plan.train.steps for plan in (SHIPPED, REAL)],
    ("demo", "tokens"): [plan.train.train_tokens for plan in (SHIPPED, REAL)],
    ("demo", "eval_tokens"): [plan.eval_tokens for plan in (SHIPPED, REAL)],
}
"""Numbers behind "default:" in the help, by verb and parameter: where they are written in code."""


def texts_of(verb):
    """The help of each option of a verb, and its default."""
    described = descriptions_of(find_verb(verb))
    for option in parameters_of(find_verb(verb)):
        said = get_args(option.annotation)[1].help or described[option.name]
        yield option.name, said, option.default


def numbers_in(said):
    """The numbers behind the first "default:", with commas in thousands or without."""
    _, _, default = said.lower().partition("default: ")
    return [
        float(one.replace(",", "")) for one in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", default)
    ]


@pytest.mark.parametrize("verb", NAMES)
def test_a_default_that_is_written_out_is_the_one_that_counts(verb):
    found = {(verb, name): numbers_in(said) for name, said, _ in texts_of(verb) if numbers_in(said)}
    assert found == {key: numbers for key, numbers in WRITTEN.items() if key[0] == verb}


@pytest.mark.parametrize("verb", NAMES)
def test_a_default_that_is_shown_is_not_written_out_as_well(verb):
    for name, said, default in texts_of(verb):
        shown = default not in (None, False, True, inspect.Parameter.empty)
        assert not (shown and "default:" in said.lower()), name


@pytest.mark.parametrize("verb", NAMES)
def test_a_sentence_of_the_help_begins_as_one(verb):
    for name, said, _ in texts_of(verb):
        assert not re.search(r"[^.]\. default:", said), name


def test_numbers_are_found_behind_a_default_alone():
    assert numbers_in("Of 3; default: 200,000, or 15,000.") == [200_000, 15_000]
    assert numbers_in("Of 3, as 4.") == []
