"""What is installed starts beside files of a user's that are called `registry` and `commands`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TAKEN = "raise ImportError('a file of the user was imported')\n"
SCRIPT = """
import registry, transplant
assert registry.MINE
work = transplant.Workspace()
assert "transplant.installed.registry" in type(work.library).__module__
print(transplant.load("ref-gpt2").backbone.name)
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the package, and a folder of a user's with the two names in it."""

    bin: Path
    user: Path

    def run(self, *words: str, program: str = "python") -> subprocess.CompletedProcess[str]:
        unset = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        return subprocess.run(
            [self.bin / program, *words], cwd=self.user, env=kept | {"ABI_REGISTRY": "registry.d"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip


def as_checkout(site: Path) -> None:
    """What `pip install --editable` leaves in site-packages: a path, and the entry points."""
    (site / "_abi_transplant.pth").write_text(f"{ROOT}\n", "utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    written = site / f"abi_transplant-{project['version']}.dist-info"
    written.mkdir()
    (written / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in groups[group].items())
             for group in groups]  # fmt: skip
    (written / "entry_points.txt").write_text("\n".join(lines), "utf-8")


def as_wheel(site: Path) -> None:
    """A wheel of this checkout, unpacked."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed")
    from hatchling.build import build_wheel  # pyright: ignore[reportMissingImports]

    with chdir(ROOT):
        name = build_wheel(str(site))
    with zipfile.ZipFile(site / name) as wheel:
        tops = {one.split("/")[0] for one in wheel.namelist()}
        assert {one for one in tops if not one.endswith(".dist-info")} == {"transplant"}
        wheel.extractall(site)
    (site / name).unlink()


@pytest.fixture(scope="module", params=[as_checkout, as_wheel])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    install: Callable[[Path], None] = request.param
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "env", symlinks=os.name != "nt")
    paths = {"base": str(place / "env"), "platbase": str(place / "env")}
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    install(site)
    user = place / "user"
    (user / "commands").mkdir(parents=True)
    (user / "commands" / "__init__.py").write_text(TAKEN, "utf-8")
    (user / "registry.py").write_text("MINE = True\n", "utf-8")
    (user / "script.py").write_text(SCRIPT, "utf-8")
    return Installed(Path(sysconfig.get_path("scripts", "venv", paths)), user)


def script_of(installed: Installed) -> str:
    """The script `abi`, as installers write it from the entry point; its name."""
    code = (
        "from importlib.metadata import entry_points;"
        "print(entry_points(group='console_scripts')['abi'].value)"
    )
    module, _, name = installed.run("-c", code).stdout.strip().partition(":")
    script = installed.bin / "abi"
    script.write_text(
        f"#!{installed.bin / 'python'}\nimport sys\nfrom {module} import {name}\n"
        f"sys.exit({name}())\n", "utf-8",
    )  # fmt: skip
    script.chmod(0o755)
    return script.name


def test_the_names_are_taken_where_the_user_works(installed):
    assert "a file of the user was imported" in installed.run("-c", "import commands").stderr


def test_a_script_loads_models_beside_a_registry_of_its_own(installed):
    ran = installed.run("script.py")
    assert (ran.stdout, ran.returncode) == ("ref-gpt2\n", 0), ran.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows starts scripts by programs of their own")
def test_the_command_runs_beside_files_of_its_packages_names(installed):
    script = script_of(installed)
    for words in (["--version"], ["list", "--json"]):
        ran = installed.run(*words, program=script)
        as_module = installed.run("-m", "transplant", *words)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == as_module.stdout
    assert "ref-llama" in ran.stdout
