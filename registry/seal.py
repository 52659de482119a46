"""Seal of a manifest: a checksum of all that it says, and of the files beside it.

The hashes of tensors say nothing of the taps, scales, counts and records in a manifest, nor of a
backbone's configuration and tokenizer; these decide numbers as well. The seal covers the content of
the manifest, not its layout: it is the sha256 of the JSON without the seal, keys sorted, no spaces,
in ASCII. A manifest without these lines was written before there were any, or by somebody who took
them off; it is read as it stands.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from transplant.errors import CorruptError, StorageError, foreign
from transplant.files import strict_json
from transplant.files.plain import MAX_FILE, read_plain

SEAL, FILES = "manifest_sha256", "files_sha256"


def sealed(text: str, files: dict[str, str] | None = None) -> str:
    """The text of a manifest with its seal, in the layout of `Manifest.to_json`.

    Args:
        text: what `Manifest.to_json` gave.
        files: the sha256 of each file beside it, where there are any but the weights.
    """
    fields = json.loads(text)
    if files:
        fields[FILES] = files
    fields[SEAL] = _digest(fields)
    return json.dumps(fields, sort_keys=True, indent=2) + "\n"


def without_seal(fields: dict[str, Any]) -> dict[str, Any]:
    """What the manifest itself says."""
    return {key: value for key, value in fields.items() if key not in (SEAL, FILES)}


def check_seal(fields: dict[str, Any], where: str) -> None:
    """Compare what was read with its seal; where there is none, nothing is known.

    Raises:
        CorruptError: something in it is not as it was written.
    """
    if SEAL not in fields:
        return
    with foreign(where, CorruptError, expected="JSON that can be written again"):  # too deep
        promised, found = fields[SEAL], _digest(fields)
    if promised != found:
        raise CorruptError(
            f"{where} is not as it was written",
            expected=f"{SEAL} {str(promised)[:80]}",
            found=found,
            hint="restore the file, or make the artifact again; where you have changed it yourself "
            f"and mean it, take the line {SEAL} out of it",
        )


def hash_files(folder: Path, leave_out: set[str]) -> dict[str, str]:
    """The sha256 of every file of a folder but some."""
    files = sorted(file for file in folder.iterdir() if file.name not in leave_out)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def promised_files(text: str) -> Any:
    """The hashes of the files beside a manifest, as its text has them: unchecked."""
    return strict_json.parse(text).get(FILES, {}) if FILES in text else {}


def check_files(manifest: Path, promised: Any, *, follow: bool = False) -> None:
    """Compare the files beside a manifest with the hashes in it, where it has any.

    Args:
        manifest: the file.
        promised: what `promised_files` found in it.
        follow: whether what it names may be links.

    Raises:
        CorruptError: a file that is missing, no plain file, or not as it was written.
        StorageError: the disk refused to read one.
    """
    with foreign(f"{manifest}: {FILES}", CorruptError, expected="an object of hashes"):
        names = {str(name): str(sha256) for name, sha256 in promised.items()}
    for name, expected in names.items():
        if Path(name).name != name:
            raise CorruptError(f"{manifest}: {FILES}", expected="names of files", found=repr(name))
        file = manifest.with_name(name)
        try:
            found = hashlib.sha256(read_plain(file, MAX_FILE, follow=follow)).hexdigest()
        except FileNotFoundError:
            found = "no such file"
        except (OSError, ValueError) as error:  # ValueError: a NUL in a name
            raise StorageError(f"cannot read {file}: {error}") from error
        if found != expected:
            raise CorruptError(
                f"{file} is not as it was written",
                expected=f"sha256 {expected}",
                found=found,
                hint="restore the file, or make the backbone again; where you have changed it "
                f"yourself and mean it, take {FILES} and {SEAL} out of {manifest}",
            )


def _digest(fields: dict[str, Any]) -> str:
    content = {key: value for key, value in fields.items() if key != SEAL}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
