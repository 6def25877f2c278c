"""Masks as files: safetensors for programs, JSON to be read without any library.

Both carry a format, a version and enough to notice damage; what is foreign or damaged is refused. A JSON file holds
the SHA-256 of its list of parameters, written without spaces between its parts, and is read only if every byte is as
`encode` writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunekit import _checks

_FORMAT = "prunekit.mask"
_VERSION = 1
_LARGEST = 2**31  # entries that a file may ask for


def encode(path: Path, mask: Mapping[str, Tensor]) -> bytes:
    """Return what a mask's file of that name holds.

    Raises
    ------
    ValueError
        If the path ends neither in .safetensors nor in .json.
    """
    return {".safetensors": _to_safetensors, ".json": _to_json}[_suffix(path)](mask)


def decode(path: Path) -> dict[str, Tensor]:
    """Return the bool tensors in a mask's file, in the order in which they were saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no mask of this library, is damaged, or ends otherwise than `encode` allows.
    """
    return {".safetensors": _from_safetensors, ".json": _from_json}[_suffix(path)](path.name, path.read_bytes())


def _suffix(path: Path) -> str:
    """Return a path's ending, refusing those that are no format of masks."""
    if path.suffix not in (".safetensors", ".json"):
        raise ValueError(f"path ends in {path.suffix!r}: give one that ends in .safetensors or .json")
    return path.suffix


def _to_safetensors(mask: Mapping[str, Tensor]) -> bytes:
    """Encode a mask as safetensors, which sorts its tensors: the order goes into the metadata."""
    from safetensors.torch import save

    counts = json.dumps({name: int(kept.sum()) for name, kept in mask.items()})
    metadata = {"format": _FORMAT, "version": str(_VERSION), "counts": counts}
    return save({name: kept.contiguous() for name, kept in mask.items()}, metadata=metadata)


def _from_safetensors(name: str, content: bytes) -> dict[str, Tensor]:
    """Decode safetensors, refusing foreign and damaged files."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = header.get("__metadata__") or {}
    except (SafetensorError, ValueError) as reason:
        raise ValueError(f"{name} is no whole safetensors file ({reason}): give one that Mask.save wrote") from None
    _refuse_foreign(name, metadata.get("format"), metadata.get("version"), str(_VERSION))
    try:
        counts = dict(json.loads(metadata["counts"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name} lacks its counts: give a file that Mask.save wrote") from None
    # A damaged bool may hold any byte, so the bytes are looked at and not the truth values.
    bytes_of = {key: t.view(torch.uint8) for key, t in tensors.items() if t.dtype == torch.bool}
    sums = {key: int(raw.sum()) if not bool((raw > 1).any()) else -1 for key, raw in bytes_of.items()}
    if sums != counts:
        raise ValueError(f"{name} is damaged, its counts do not match: give a file that Mask.save wrote")
    return {key: tensors[key] for key in counts}


def _to_json(mask: Mapping[str, Tensor]) -> bytes:
    """Encode a mask as JSON: names, shapes and flat positions of what is kept."""
    entries = [
        {"name": name, "shape": list(kept.shape), "kept": kept.flatten().nonzero().flatten().tolist()}
        for name, kept in mask.items()
    ]
    return _spell({"format": _FORMAT, "version": _VERSION, "sha256": _digest(entries), "parameters": entries})


def _spell(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _digest(entries: Any) -> str:
    return hashlib.sha256(json.dumps(entries, separators=(",", ":")).encode()).hexdigest()


def _from_json(name: str, content: bytes) -> dict[str, Tensor]:
    """Decode JSON, refusing foreign and damaged files."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as reason:
        raise ValueError(f"{name} is no whole JSON file ({reason}): give one that Mask.save wrote") from None
    record = document if isinstance(document, dict) else {}
    _refuse_foreign(name, record.get("format"), record.get("version"), _VERSION)
    try:
        if record["sha256"] != _digest(record["parameters"]) or content != _spell(record):
            raise ValueError("its checksum does not match")
        entries = [(e["name"], tuple(e["shape"]), e["kept"]) for e in record["parameters"]]
        if len({entry[0] for entry in entries}) != len(entries):
            raise ValueError("a parameter is named twice")
        return {_text(key): _from_positions(shape, kept) for key, shape, kept in entries}
    except (KeyError, TypeError, ValueError, RecursionError) as reason:
        raise ValueError(f"{name} is damaged ({reason}): give a file that Mask.save wrote") from None


def _text(key: Any) -> str:
    """Return a parameter's name, refusing what is none."""
    if not isinstance(key, str):
        raise TypeError(f"name is {key!r}: give a string")
    return key


def _from_positions(shape: tuple[Any, ...], kept: Any) -> Tensor:
    """Return a bool tensor of a shape that is True at flat positions."""
    for size in shape:
        _checks.count("shape", size, 1, _LARGEST)
    total = _checks.count("size", prod(shape), 1, _LARGEST)
    if not isinstance(kept, list):
        raise TypeError(f"kept is a {type(kept).__name__}: give a list")
    flat = torch.zeros(total, dtype=torch.bool)
    if kept:
        flat[torch.from_numpy(_checks.indices("kept", kept, total).astype(np.int64))] = True
    return flat.view(shape)


def _refuse_foreign(name: str, kind: Any, version: Any, known: Any) -> None:
    """Refuse a file of another kind or a later version."""
    if kind != _FORMAT:
        raise ValueError(f"{name} is no mask of prunekit (format {kind!r}): give a file that Mask.save wrote")
    if version != known:
        raise ValueError(f"{name} has version {version!r}: this prunekit reads version {known}")
