"""Downloads of weights, told to whoever follows the loading of a model."""

from __future__ import annotations

import pytest

from transplant.backbones.downloads import bar_class, download_options, following_downloads
from transplant.backbones.whole import load_whole

MIB = 2**20


def test_the_bytes_of_all_files_are_added_up(capsys):
    from huggingface_hub.utils.tqdm import _create_progress_bar

    told = []
    cls = bar_class(lambda *facts: told.append(facts))
    make = {"cls": cls, "log_level": 0, "name": "huggingface_hub.http_get", "initial": 0}
    with _create_progress_bar(**make, unit="B", total=10 * MIB, desc="a") as one:
        one.update(4 * MIB)
        with _create_progress_bar(**make, unit="B", total=30 * MIB, desc="b") as other:
            other.update(20 * MIB)
        with _create_progress_bar(**make, unit="it", total=2, desc="files") as files:
            files.update(1)
        one.update(6 * MIB)
    assert told[1] == (4, 10, "MiB downloaded")
    assert told[-1] == (30, 40, "MiB downloaded")
    assert capsys.readouterr() == ("", "")


def test_a_model_of_a_hub_is_loaded_with_them_and_a_folder_is_not(tmp_path):
    asked = []

    class Model:
        @staticmethod
        def from_pretrained(source, **options):
            asked.append((source, options.get("tqdm_class")))
            raise RuntimeError

    with following_downloads(lambda *_: None):
        for source in ("owner/model", str(tmp_path)):
            with pytest.raises(RuntimeError):
                load_whole(Model, source)
    assert asked[0][1] is not None
    assert asked[1] == (str(tmp_path), None)
    assert download_options("owner/model") == {}  # nobody follows
