"""The warm `abi` does what the command does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.warm_abi import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="forks")


def test_it_has_the_words_the_folder_the_environment_the_streams_and_the_code(warm_path, tmp_path):
    (tmp_path / "here").mkdir()
    for words, environment, code in (
        (["list", "--registry", "here", "--json"], {}, 0),
        (["list", "--json"], {"ABI_REGISTRY": str(tmp_path / "other")}, 0),
        (["rm", "nothing"], {"ABI_REGISTRY": str(tmp_path / "here")}, 1),
        (["no-such-verb"], {}, 2),
    ):
        ways = ([warm_path / "abi"], [sys.executable, "-m", "commands"])
        warm, cold = (
            subprocess.run(
                [*way, *words], cwd=tmp_path, capture_output=True, text=True, check=False,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            )
            for way in ways
        )  # fmt: skip
        assert warm.returncode == cold.returncode == code
        assert (warm.stdout, warm.stderr) == (cold.stdout, cold.stderr)
        assert warm.stdout + warm.stderr
