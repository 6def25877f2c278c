"""Data sets as their files lie below a root: found, fetched when asked for, read, and told from others."""

from __future__ import annotations

import hashlib
import importlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Split = tuple[Bytes, NDArray[np.int64]]  # images (n, c, h, w) and labels (n,)
_MOMENTS = 5000  # images whose moments are summed at a time


class MissingData(FileNotFoundError):
    """A data set's files are not where they were looked for; the message says what to do."""


class CorruptData(ValueError):
    """A data set's files cannot be read, or are not what they should be; the message says what to do."""


def moments(images: Bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation of each channel, from exact sums of integers."""
    total, squares = np.zeros(images.shape[1], np.int64), np.zeros(images.shape[1], np.int64)
    for start in range(0, len(images), _MOMENTS):
        part = images[start : start + _MOMENTS]
        total += part.sum((0, 2, 3), dtype=np.int64)
        squares += np.square(part, dtype=np.uint32).sum((0, 2, 3), dtype=np.int64)
    n = images.size // images.shape[1]
    mean = total / n
    return mean.astype(np.float32), np.sqrt(squares / n - mean**2).astype(np.float32)


@dataclass(frozen=True)
class _Source:
    """Where a data set's files lie below the root, how to read a split of them, and what they must hold."""

    name: str
    folder: str
    read: Callable[[_Source, Path, bool, bool], Split]  # (source, root, is it training?, may it download?)
    classes: int
    shape: tuple[int, int, int]
    sizes: tuple[int, int]  # training and test images
    torchvision: str = ""  # its class in torchvision; without one nothing can be downloaded
    digests: tuple[str, str] | None = None  # SHA-256 of the splits' pixels and labels, where nothing else checks them
    moments: tuple[float, float] | None = None  # mean and deviation of the training pixels, from 0 to 1


def read(name: str, root: str | os.PathLike[str] | None, download: bool) -> tuple[Split, Split, int]:
    """Return both splits of a data set that is read from files, and its number of classes.

    Parameters
    ----------
    name : str
        One of the sets that `load` names, but for the digits.
    root : path, optional
        Folder of the data sets; without it, the one that the environment variable PRUNEKIT_DATA names.
    download : bool
        Whether torchvision may fetch files that are missing.

    Raises
    ------
    MissingData, CorruptData, ValueError
        As `load`.
    """
    source = _source(name)
    train, test = _read(source, _root(name, root), download)
    return train, test, source.classes


def _source(name: str) -> _Source:
    """Return the source of a data set that is read from files."""
    if name not in _SOURCES:
        raise ValueError(f"name is {name!r}: give one of {', '.join(['digits', *_SOURCES])}")
    return _SOURCES[name]


def _root(name: str, root: str | os.PathLike[str] | None) -> Path:
    """Return the folder of the data sets."""
    chosen = root if root is not None else os.environ.get("PRUNEKIT_DATA")
    if not chosen:
        raise MissingData(
            f"{name} is read from files and no folder is given: pass root, or set PRUNEKIT_DATA to the folder"
        )
    return Path(chosen).expanduser()


def _read(source: _Source, root: Path, download: bool) -> tuple[Split, Split]:
    """Read both splits, and turn everything that goes wrong into an error that says what to do."""
    folder = root / source.folder
    if download and source.torchvision and not folder.is_dir():
        _refuse_unwritable(source, root)
    remedy = (
        f"load({source.name!r}, root, download=True) fetches them"
        if source.torchvision
        else f"unpack tiny-imagenet-200.zip in {root}"
    )
    if not folder.is_dir() and not (download and source.torchvision):
        raise MissingData(f"{source.name} has no files: {folder} is not a folder. Give another root, or {remedy}")
    splits = []
    for training, size in ((True, source.sizes[0]), (False, source.sizes[1])):
        part = "training" if training else "test"
        try:
            x, y = source.read(source, root, training, download)
        except MissingData as reason:
            raise MissingData(f"{source.name}: {reason}. Give another root, or {remedy}") from reason
        except PermissionError as reason:
            raise MissingData(
                f"{source.name}: {reason}. Give a root that can be read, and written to download"
            ) from reason
        except URLError as reason:
            raise MissingData(
                f"{source.name} could not be downloaded ({reason}): try again where there is a connection, or put the "
                f"files into {folder}"
            ) from reason
        except Exception as reason:  # torchvision lets many errors out: AssertionError, RuntimeError, EOFError …
            raise CorruptData(
                f"{source.name}: the {part} files in {folder} cannot be read ({type(reason).__name__}: {reason}). "
                f"Remove the folder if they are damaged; {remedy}"
            ) from reason
        if x.shape != (size, *source.shape) or y.shape != (size,) or y.min() < 0 or y.max() >= source.classes:
            raise CorruptData(
                f"{source.name}: the {part} files in {folder} hold images of shape {x.shape} and {y.size} labels, "
                f"not {(size, *source.shape)} and labels below {source.classes}. Remove the folder; {remedy}"
            )
        if foreign := _foreign(source, training, x, y):
            raise CorruptData(f"{source.name}: the {part} files in {folder} {foreign}. Remove the folder; {remedy}")
        splits.append((x, y))
    return splits[0], splits[1]


def _refuse_unwritable(source: _Source, root: Path) -> None:
    """Refuse to download into a folder that cannot be made or written, before anything is fetched."""
    there = next(place for place in (root, *root.absolute().parents) if place.exists())
    try:
        if not there.is_dir():
            raise NotADirectoryError(f"{there} is a file")
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as reason:
        raise MissingData(
            f"{source.name} cannot be downloaded into {root} ({reason.strerror or reason}): give a root that can be "
            "written"
        ) from reason


def _foreign(source: _Source, training: bool, x: Bytes, y: NDArray[np.int64]) -> str:
    """Say what shows that a split is another data set in the same layout; nothing where nothing does."""
    digest = hashlib.sha256(x.tobytes() + y.astype(np.uint8).tobytes()).hexdigest()
    if source.digests and digest != source.digests[0 if training else 1]:
        return "hold other images or labels than the published ones, by their checksum"
    if source.moments:
        counts = np.bincount(y, minlength=source.classes)
        if counts.min() != counts.max():
            return f"hold {counts.min()} to {counts.max()} images of a class, and the published ones as many of each"
        mean, std = (float(moment[0]) / 255 for moment in moments(x))
        off = abs(mean - source.moments[0]), abs(std - source.moments[1])
        if training and max(off) > 1e-3:
            return f"hold pixels of mean {mean:.4f} and deviation {std:.4f}, the published ones {source.moments}"
    return ""


def _torchvision(source: _Source, root: Path, training: bool, download: bool) -> Split:
    """Read one split through torchvision."""
    kind = getattr(importlib.import_module("torchvision.datasets"), source.torchvision)
    try:
        split = kind(str(root), train=training, download=download)
    except RuntimeError as reason:
        if "not found" in str(reason):  # its one message for missing files and wrong checksums
            raise MissingData(f"files in {root / source.folder} are missing, or their checksums are wrong") from reason
        if "Error downloading" in str(reason):  # what MNIST says when none of its mirrors answers
            raise URLError(str(reason)) from reason
        raise
    x = np.asarray(split.data)
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x), np.asarray(split.targets, dtype=np.int64)


def _tiny_imagenet(source: _Source, root: Path, training: bool, download: bool) -> Split:
    """Read one split of Tiny ImageNet, as distributed: train/CLASS/images/*.JPEG, val/images with a table."""
    folder = root / source.folder
    classes = sorted(p.name for p in (folder / "train").glob("n*") if p.is_dir())
    if not classes:
        raise MissingData(f"{folder / 'train'} has no class folders n*")
    if training:
        files = [(file, k) for k, c in enumerate(classes) for file in sorted((folder / "train" / c).rglob("*.JPEG"))]
    else:
        table = folder / "val" / "val_annotations.txt"
        if not table.is_file():
            raise MissingData(f"{table} is missing")
        rows = [line.split("\t")[:2] for line in table.read_text(encoding="utf-8").splitlines()]
        files = [(folder / "val" / "images" / file, classes.index(label)) for file, label in rows]
    missing = next((file for file, _ in files if not file.is_file()), None)
    if missing is not None or not files:
        raise MissingData(f"{missing or folder} is missing")
    return np.stack([_picture(file) for file, _ in files]), np.array([k for _, k in files], dtype=np.int64)


def _picture(file: Path) -> Bytes:
    """Return a picture as (3, h, w); the few grey ones repeat their channel."""
    with importlib.import_module("PIL.Image").open(file) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.uint8).transpose(2, 0, 1)


_SOURCES = {
    source.name: source
    for source in (
        _Source(
            "mnist",
            "MNIST/raw",
            _torchvision,
            10,
            (1, 28, 28),
            (60000, 10000),
            "MNIST",
            digests=(
                "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b",
                "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
            ),
        ),
        _Source(
            "fashion-mnist",
            "FashionMNIST/raw",
            _torchvision,
            10,
            (1, 28, 28),
            (60000, 10000),
            "FashionMNIST",
            moments=(0.2860, 0.3530),
        ),
        _Source("cifar10", "cifar-10-batches-py", _torchvision, 10, (3, 32, 32), (50000, 10000), "CIFAR10"),
        _Source("cifar100", "cifar-100-python", _torchvision, 100, (3, 32, 32), (50000, 10000), "CIFAR100"),
        _Source("tiny-imagenet", "tiny-imagenet-200", _tiny_imagenet, 200, (3, 64, 64), (100000, 10000)),
    )
}
