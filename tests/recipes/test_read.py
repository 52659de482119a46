"""Recipes are checked before anything runs; a fault is named with its file and line."""

from __future__ import annotations

import pytest

from commands.steps import StepVerbs
from transplant.errors import InputError
from transplant.recipes.read import read_recipe

VERBS = StepVerbs()
BOMB = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]" for n in range(7))


def read(tmp_path, text):
    (tmp_path / "recipe.yaml").write_text(text)
    return read_recipe(tmp_path / "recipe.yaml", VERBS)


def fault(tmp_path, text) -> str:
    with pytest.raises(InputError) as refused:
        read(tmp_path, text)
    return str(refused.value).replace(f"{tmp_path}/", "")


def step(**options: str) -> str:
    lines = [f"      {key.replace('_', '-')}: {value}" for key, value in options.items()]
    return "\n".join(["steps:", "  - train:", *lines])


def test_a_recipe_is_read_with_the_types_of_the_verbs_options(tmp_path):
    found = read(
        tmp_path,
        "seed: 3\n"
        "steps:\n"
        "  - name: donor\n"
        "    train: {backbone: a, domain: b, lr: 1e-3, steps: 10, data: 2024-01-01}\n"
        "  - nib: {anchor: '${donor.name}', candidate: x}\n"
        "    may_fail: true\n"
        "  - basis_fit: {backbone: a, data: prose, name: x, tokens: 50000}\n"
        "  - validate: {model: a, baseline: b, general: {prose: ./prose}, pairs: p=q}\n",
    )
    donor, nib, basis, validate = found.steps
    assert found.settings == {"seed": 3}
    assert donor.options == {
        "backbone": "a", "domain": "b", "learning_rate": 0.001, "steps": 10, "data": "2024-01-01",
    }  # fmt: skip
    assert (nib.name, nib.may_fail, donor.may_fail) == ("nib", True, False)
    assert (basis.verb, basis.name, basis.options["tokens"]) == ("basis fit", "basis-fit", 50_000)
    assert validate.options["general"] == ["prose=./prose"]
    assert validate.options["pairs"] == ["p=q"]


@pytest.mark.parametrize("verb", ["basis fit", "train"])
def test_a_whole_number_of_a_recipe_may_have_a_unit(tmp_path, verb):
    more = {"basis fit": "data: prose, name: x", "train": "domain: b"}[verb]
    options = f"{{backbone: a, {more}, tokens: 200k}}"
    (found,) = read(tmp_path, f"steps:\n  - {verb}: {options}\n").steps
    assert (found.options["tokens"], type(found.options["tokens"])) == (200_000, int)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the recipe recipe.yaml: expected a list `steps`, found nothing"),
        ("hello", "recipe.yaml:1: expected a mapping"),
        ("- a\n- b", "recipe.yaml:1: expected a mapping"),
        ("seed: 1", "expected a list `steps`, found seed"),
        ("steps: []", "recipe.yaml:1: steps: expected a list of steps, found an empty one"),
        ("steps: {train: {}}", "recipe.yaml:1: steps: expected a list of steps"),
        ("seed: 1\nseed: 2\nsteps: []", "recipe.yaml:2: 'seed' appears twice: found line 1, too"),
        ("sed: 1\nsteps: []", "the top of a recipe has no option 'sed': expected such as 'seed'"),
        ("seed: x\nsteps: []", "recipe.yaml:1: 'seed' of the top of a recipe: expected an integer"),
        ("seed: -1\nsteps: []", "expected an integer, at least 0"),
        ("steps:\n  - trian: {}", "recipe.yaml:2: no step does 'trian': expected a verb, such as"),
        ("steps:\n  - train: {}\n    nib: {}", "recipe.yaml:2: a step: expected one verb"),
        ("steps:\n  - name: a", "expected one verb, found none"),
        ("steps:\n  - show: {name: a}", "no step does 'show'"),
        (step(backbone="a"), "recipe.yaml:2: train needs the option 'domain'"),
        (step(backbone="a", domian="b"), "recipe.yaml:4: train has no option 'domian': expected "
         "such as 'domain'"),
        (step(backbone="a", domain="b", steps="many"), "recipe.yaml:5: 'steps' of train: expected "
         "an integer, found 'many'"),
        (step(backbone="a", domain="b", steps="0k"), "expected an integer, found '0k'"),
        (step(backbone="a", domain="b", eval_tokens="0.01k"), "expected an integer, at least 64"),
        (step(backbone="a", domain="b", eval_tokens="3"), "expected an integer, at least 64"),
        (step(backbone="a", domain="b", replace="1"), "expected true or false, found 1"),
        (step(backbone="yes", domain="b"), "'backbone' of train: expected text, found True"),
        (step(backbone="a", domain="b", lr="1", learning_rate="2"), "given twice"),
        (step(backbone="a", domain="b", lr=".inf"), "expected a number"),
        ("steps:\n  - train: [a]", "recipe.yaml:2: expected a mapping: the options of train"),
        ("steps:\n  - nib: {anchor: a, candidate: b}\n    may_fail: maybe",
         "recipe.yaml:3: 'may_fail': expected true or false"),
        ("steps:\n\t- a", "recipe.yaml:2 is no YAML"),
        ("steps: []\n---\nsteps: []", "recipe.yaml:2 is no YAML"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line(tmp_path, text, said):
    assert said in fault(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (step(backbone="${x.name}", domain="b") + "\n  - name: x\n    trace: {model: a}",
         "recipe.yaml:3: 'train' refers to 'x', which comes after it"),
        (step(backbone="${train.name}", domain="b"), "in a circle"),
        ("steps:\n  - name: a\n    trace: {model: '${b.x}'}\n"
         "  - name: b\n    trace: {model: '${a.x}'}", "found a -> b -> a"),
        (step(backbone="${trian.name}", domain="b"), "names no step: expected such as 'train'"),
        (step(backbone="${train}", domain="b"), "expected ${STEP.KEY}"),
        ("seed: ${a.seed}\nsteps: []", "refers to a step"),
        ("steps:\n  - name: a\n    trace: {model: m}\n  - name: a\n    trace: {model: m}",
         "recipe.yaml:4: the name 'a' is taken: expected another, found the step on line 3"),
        ("steps:\n  - name: a.b\n    trace: {model: m}", "expected one word"),
    ],
)  # fmt: skip
def test_a_reference_leads_to_an_earlier_step(tmp_path, text, said):
    assert said in fault(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "steps:\n  - train: !!python/object/apply:os.system ['touch {gone}']",
        "steps:\n  - train: {{backbone: !!python/object/apply:os.system ['touch {gone}']}}",
        "seed: !!binary aGk=\nsteps: []",
        BOMB.replace("{", "{{") + "\nsteps: []",
        "seed: &a [*a]\nsteps: []",
        "steps: &a\n  - *a",
        "[" * 5000,
        "steps: \0",
    ],
)
def test_what_a_file_of_somebody_else_could_do_is_refused(tmp_path, text):
    gone = tmp_path / "gone"
    assert "recipe.yaml" in fault(tmp_path, text.format(gone=gone))
    assert not gone.exists()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the recipe .*nowhere.yaml"):
        read_recipe(tmp_path / "nowhere.yaml", VERBS)
