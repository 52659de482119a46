"""The program of the documentation: a move from Python gives the numbers of the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.commands.conftest import Abi
from tests.tiny_registry import put_backbones, put_corpus

PROGRAM = """
import json, sys
from pathlib import Path
import transplant
from registry import Registry

work = transplant.Workspace(library=Registry.open(Path(sys.argv[1])))
recipe = dict(steps=20, window=64, batch=2, train_tokens=6000, d_abi=16)
work.train("tiny-gpt2", "tales", data=sys.argv[2], config=transplant.TrainConfig(**recipe))
move = work.move("tales@tiny-gpt2", to="tiny-llama", pair_on=sys.argv[2],
                 config=transplant.MoveConfig(excerpts=40))
evidence = move.evidence(eval_tokens=2000)
stored = move.store()
model = transplant.load("tales-from-tiny-gpt2@tiny-llama", library=work.library)
assert {"typer", "rich", "commands"}.isdisjoint(sys.modules), sorted(sys.modules)
print(json.dumps({
    "ppl": dict(evidence.ppl), "recovered": dict(evidence.recovered), "nib": dict(evidence.nib),
    "donor_attributable": evidence.donor_attributable, "sha256": stored.sha256,
    "module_attributable": evidence.module_attributable, "is_raw": model.is_raw,
}))
"""


def test_ten_lines_give_what_the_command_line_gives(tmp_path, tiny_texts) -> None:
    corpus = put_corpus(tmp_path / "tales", tiny_texts)
    roots = [tmp_path / "python", tmp_path / "shell"]
    for root in roots:
        put_backbones(root, tiny_texts)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(roots[0]), corpus],
        capture_output=True, text=True, env=env,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    abi = Abi(roots[1], corpus)
    assert abi.train("tiny-gpt2").code == 0
    moved = abi(
        "transfer", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--data", corpus,
        "--excerpts", "40", "--eval-tokens", "2000", "--json",
    )  # fmt: skip
    assert moved.code == 0, moved.err
    for key in ("ppl", "recovered", "donor_attributable", "module_attributable", "nib"):
        assert found[key] == moved.json[key], key
    assert found["sha256"] == moved.json["module_sha256"]["target"]
    assert not found["is_raw"]
