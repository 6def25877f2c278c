"""The seal of a run: its ``run.json`` names the SHA-256 of every file of the run, and its own.

What does not agree with its seal to the byte is damaged, and is never taken for a run.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from prunekit._system import files

NOTEBOOK, RECORD, TRACEBACK = "notebook.ipynb", "run.json", "traceback.txt"
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "key": str,
    "notebook": str,
    "path": str,
    "parameters": dict,
    "status": str,
    "finished": str,
    "wall_time_s": (int, float),
}


class DamagedRun(ValueError):
    """A run is not as it was written; the message names the files and what is wrong with them."""


def seal(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write the record of a run, sealed, into its folder, and return it as it will be read.

    Links, and anything else that is not a file, are not part of a run.
    """
    inside = sorted(f for f in folder.rglob("*") if f.is_file() and not f.is_symlink())
    checksums = {f.relative_to(folder).as_posix(): files.sha256(f) for f in inside if f != folder / RECORD}
    plain = json.loads(_text(record | {"files": checksums}))
    sealed = plain | {"digest": _digest(plain)}
    (folder / RECORD).write_text(_text(sealed), encoding="utf-8")
    return sealed


def read(folder: Path) -> dict[str, Any]:
    """Return the record in a folder whose name is the run's key.

    Raises
    ------
    DamagedRun
        If it is missing, unreadable, of an older prunekit, of another run, or changed in any byte.
    """
    try:
        text = (folder / RECORD).read_bytes().decode()
        record = json.loads(text)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise DamagedRun(f"{RECORD} {'is missing' if missing else f'cannot be read: {error.strerror}'}") from None
    except (ValueError, RecursionError):
        raise DamagedRun(f"{RECORD} is no JSON in UTF-8") from None
    if not isinstance(record, dict):
        raise DamagedRun(f"{RECORD} is a JSON {type(record).__name__}, not an object")
    if not isinstance(record.get("files"), dict) or "digest" not in record:
        raise DamagedRun(f"{RECORD} has no checksums: an older prunekit wrote it, or it was changed")
    if not _is_whole(record, text):
        raise DamagedRun(f"{RECORD} was changed: its checksum does not match")
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(record.get(name), kind)]
    if wrong:
        raise DamagedRun(f"{RECORD} lacks {', '.join(wrong)}")
    if record["key"] != folder.name:
        raise DamagedRun(f"{RECORD} is of run {record['key']}")
    return record


def check(folder: Path, record: dict[str, Any]) -> None:
    """Compare every file of a run with its checksum.

    Raises
    ------
    DamagedRun
        If a file is missing, unreadable or changed; each is named.
    """
    wrong = [said for name, wanted in record["files"].items() if (said := _wrong(folder / name, name, wanted))]
    if record["status"] == "finished" and NOTEBOOK not in record["files"]:
        wrong.append(f"{NOTEBOOK} was never there")
    if wrong:
        raise DamagedRun("; ".join(wrong))


def content(folder: Path, record: dict[str, Any], name: str) -> bytes:
    """Return the bytes of one file of a run, checked as they were read.

    Raises
    ------
    DamagedRun
        If they are not those that were sealed, or no file of that name was.
    OSError
        If the file cannot be read.
    """
    data = (folder / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != record.get("files", {}).get(name):
        raise DamagedRun(f"run {folder.name} is damaged: {name} was changed")
    return data


def _wrong(path: Path, name: str, wanted: Any) -> str:
    """Say what is wrong with a file; the text is empty where nothing is."""
    try:
        return "" if path.is_file() and files.sha256(path) == wanted else f"{name} {_how(path)}"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"


def _how(path: Path) -> str:
    return "was changed" if path.is_file() else "is missing"


def _is_whole(record: dict[str, Any], text: str) -> bool:
    """Tell whether a record has its own checksum and is spelled as `seal` spells it."""
    try:
        return record["digest"] == _digest(record) and text == _text(record)
    except (ValueError, RecursionError):  # NaN or infinity, or brackets nested too deeply
        return False


def _text(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def _digest(record: dict[str, Any]) -> str:
    rest = {name: value for name, value in record.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
