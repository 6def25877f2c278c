"""Checkpoints: tensors and a JSON record in one safetensors file, never a pickle.

The record travels in the file's own header, so that one atomic rename publishes both: a reader sees the old
checkpoint or the new one, at whatever moment the writer was killed. A file that is truncated, damaged, written by
something else, or for another training is refused with the reason, and so is a second training at the same time.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunekit._system import files, locks

_KEY, _FORMAT = "prunekit-checkpoint", 2
_REMEDY = "remove it to start over, or give another path"


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message says why, and what to do."""


class Claimed(CheckpointError):
    """Another training holds the checkpoint."""


def write(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write a checkpoint in one piece: complete and on the disk before it takes the old one's place.

    Parameters
    ----------
    path : Path
        The checkpoint; beside it a draft is written, which does not outlive a failure.
    tensors : mapping
        Names to tensors, on any device.
    record : mapping
        Anything that JSON can hold.
    """
    from safetensors.torch import save

    kept = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    header = {"format": _FORMAT, "torch": torch.__version__, **record}
    content = save(kept, metadata={_KEY: json.dumps(header | {"digest": _seal(kept, header)})})
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, content)


@contextlib.contextmanager
def claimed(path: Path | None, what: str = "training") -> Iterator[None]:
    """Keep every other training, or `what` else has one, away from a checkpoint, by a file ``.NAME.lock`` beside it.

    The lock ends with the process. It is the system's where the file system has locks; where these are each host's
    own, the holder's heartbeat on the file keeps other hosts away, which look for one for some twenty seconds. Where
    there are no locks, the holder's mark keeps processes of its own host away, and another host's are not noticed.
    In a folder that cannot be written there is no lock: a finished training can be read from it.

    Raises
    ------
    Claimed
        If another one holds it; its process is named.
    """
    with contextlib.ExitStack() as stack:
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locks.sole(path.with_name(f".{path.name}.lock")))
            except locks.Busy as busy:
                raise Claimed(
                    f"{path} is the checkpoint of a {what} that runs, {busy}: wait for it, or give another path"
                ) from None
            except OSError as error:
                if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                    raise
        yield


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and the record of a checkpoint.

    Raises
    ------
    CheckpointError
        If the file is truncated, damaged, or not a checkpoint of this program.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as reason:
        raise CheckpointError(f"{path} is truncated or no safetensors file ({reason}): {_REMEDY}") from reason
    if _KEY not in metadata:
        raise CheckpointError(f"{path} was not written by prunekit ({_KEY} is not in its header): {_REMEDY}")
    try:
        record = json.loads(metadata[_KEY])
        version, wanted = record["format"], record.pop("digest")
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as reason:
        raise CheckpointError(f"{path} has a damaged record ({reason!r}): {_REMEDY}") from reason
    if version != _FORMAT:
        raise CheckpointError(f"{path} has format {version}, and this program reads format {_FORMAT}: {_REMEDY}")
    if _seal(tensors, record) != wanted:
        raise CheckpointError(f"{path} is damaged (its content does not have the checksum in its header): {_REMEDY}")
    return tensors, record


def _seal(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that a checkpoint holds, tensors and record."""
    text = json.dumps(header, sort_keys=True)
    return hashlib.sha256(f"{digest(tensors)} {text}".encode()).hexdigest()


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors: names, types, shapes and values."""
    checksum = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name].detach().cpu().contiguous()
        checksum.update(f"{name} {t.dtype} {tuple(t.shape)} ".encode())
        checksum.update(t.reshape(-1).view(torch.uint8).numpy().data)
    return checksum.hexdigest()


def match(path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Compare what a checkpoint was for with what is trained now, down to single fields.

    Raises
    ------
    CheckpointError
        If anything differs; the message lists it.
    """
    differences = list(_differences(stored, json.loads(json.dumps(wanted))))
    if differences:
        raise CheckpointError(f"{path} belongs to another training: {'; '.join(differences)}. Else {_REMEDY}")


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the fields that differ."""
    listed: list[str] = []
    for name in sorted(stored.keys() | wanted.keys()):
        there, here = stored.get(name), wanted.get(name)
        if isinstance(there, dict) and isinstance(here, dict):
            listed += _differences(there, here, f"{prefix}{name}.")
        elif there != here:
            listed.append(f"{prefix}{name} is {there} there and {here} here")
    return listed
