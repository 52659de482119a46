"""The process in which mergekit merges: a recipe and the folder to be in, files out.

    python -m transplant.merging.child RECIPE OUT SEED

mergekit keeps loaders, seeds and logs of the whole process to itself; here it has one of its own,
which reaches no network. On stdout stands a JSON object of what it refuses, if anything.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

REFUSED = 3
"""The exit code of a recipe that is refused."""


def main(recipe: str, out: str, seed: str) -> int:
    """Merges, or says why not."""
    warnings.simplefilter("ignore")
    with open(recipe, encoding="utf-8") as file:
        asked = json.load(file)
    methods: Any = import_module("mergekit.merge_methods.registry")
    fault = find_fault(asked, {method.spec.name: method for method in methods.registered_methods()})
    if fault is None:
        try:
            _merge(asked, out, int(seed))
        except Exception as error:
            fault = {"what": "mergekit refuses the recipe", "found": _last_line(error)}
    if fault is None:
        return 0
    print(json.dumps(fault))
    return REFUSED


def find_fault(asked: Mapping[str, Any], methods: Mapping[str, Any]) -> dict[str, str] | None:
    """What mergekit would refuse late, or pass over: a method or a parameter that is none.

    Args:
        asked: the recipe.
        methods: those of mergekit, by name.
    """
    name = asked["merge_method"]
    if name not in methods:
        return {"what": f"merge_method {name}", "expected": f"one of {', '.join(sorted(methods))}"}
    spec = methods[name].spec
    known = sorted({one.name for one in (*spec.shared_parameters, *spec.input_parameters)})
    for given in _parameters(asked):
        if given not in known:
            listed = ", ".join(known)
            expected = f"one of {listed}" if known else "no parameter"
            return {"what": f"the parameter {given!r} of {name}", "expected": expected}
    return None


def _parameters(value: Any) -> Iterator[str]:
    """The names of the parameters anywhere in a recipe."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "parameters":
                yield from inner or ()
            else:
                yield from _parameters(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parameters(inner)


def _merge(asked: Mapping[str, Any], out: str, seed: int) -> None:
    configuration: Any = import_module("mergekit.config").MergeConfiguration
    options: Any = import_module("mergekit.options").MergeOptions
    import_module("mergekit.merge").run_merge(
        configuration.model_validate(asked), out,
        options(random_seed=seed % 2**32, write_model_card=False, quiet=True, clone_tensors=True),
    )  # fmt: skip


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])[:300]}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
