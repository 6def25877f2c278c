"""Data sets of images by name: read from the files that torchvision keeps, or scikit-learn's digits."""

from __future__ import annotations

import importlib
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunekit import _checks
from prunekit._system import extras
from prunekit.nets import sources
from prunekit.nets.data import Dataset
from prunekit.nets.sources import Split

_DIGITS_TEST = 360  # of the 1797 digits, a fifth: scikit-learn gives no split


def load(
    name: str,
    root: str | os.PathLike[str] | None = None,
    subset: int | tuple[int, int] | None = None,
    seed: int = 0,
    *,
    download: bool = False,
) -> Dataset:
    """Return a data set by name, on the CPU.

    Images are stored as bytes, digits with their values 0 … 16. Mean and standard deviation are those of the whole
    training split, channel by channel. The digits come without a split: 360 of them, drawn by `seed`, are the test
    set. Tiny ImageNet is read from its image folder, the other sets through torchvision from the files it keeps.

    Parameters
    ----------
    name : str
        'digits' (needs no files), 'mnist', 'fashion-mnist', 'cifar10', 'cifar100' or 'tiny-imagenet'.
    root : path, optional
        Folder of the data sets; without it, the one that the environment variable PRUNEKIT_DATA names.
    subset : int or (int, int), optional
        Number of training examples, or of training and test examples, drawn by `seed` without replacement.
    seed : int
        Decides the subset, and the split of the digits.
    download : bool
        Whether torchvision may fetch files that are missing.

    Raises
    ------
    MissingData
        If files are not there, or no root is given.
    CorruptData
        If files cannot be read, or hold something else.
    ValueError
        For an unknown name, or a subset larger than the set.

    Examples
    --------
    >>> load("digits", subset=(100, 50), seed=0)
    Dataset(digits: 100 + 50 images of 1×8×8, 10 classes, on cpu)
    """
    rng, download = _checks.generator(seed), _checks.flag("download", download)
    if root is not None:
        root = _checks.path("root", root)
    if _checks.text("name", name) == "digits":
        (train_x, train_y), (test_x, test_y) = _digits(rng)
        classes = 10
    else:
        (train_x, train_y), (test_x, test_y), classes = sources.read(name, root, download)
    mean, std = sources.moments(train_x)
    train, test = _subset(subset, len(train_x), len(test_x), rng)
    return Dataset(
        name=name,
        train_x=_tensor(train_x[train]),
        train_y=_tensor(train_y[train]),
        test_x=_tensor(test_x[test]),
        test_y=_tensor(test_y[test]),
        classes=classes,
        mean=_tensor(mean),
        std=_tensor(std),
    )


def _tensor(array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor that owns its memory."""
    return torch.tensor(np.ascontiguousarray(array))


def _subset(
    subset: int | tuple[int, int] | None, n_train: int, n_test: int, rng: np.random.Generator
) -> tuple[Any, Any]:
    """Return what indexes the training and the test examples asked for."""
    if subset is None:
        return slice(None), slice(None)
    asked = subset if isinstance(subset, tuple) else (subset, n_test)
    if len(asked) != 2:
        raise ValueError(f"subset is {subset!r}: give a number of training examples, or (training, test)")
    train = _checks.count("subset", asked[0], 1, n_train, high_is="the training examples there are")
    test = _checks.count("subset", asked[1], 1, n_test, high_is="the test examples there are")
    return rng.permutation(n_train)[:train], rng.permutation(n_test)[:test]


def _table_of_digits() -> NDArray[np.uint8]:
    """Return the digits (1797, 65) as scikit-learn keeps them: 64 pixels, and the class.

    Its file is read where it lies, since to import scikit-learn takes a second of every page.
    """
    try:
        path = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")))
    except PackageNotFoundError:
        path = Path()
    if path.is_file():
        return np.loadtxt(path, delimiter=",", dtype=np.uint8)
    with extras.needed("load('digits')"):  # not installed, or in a way that hides the file
        digits = importlib.import_module("sklearn.datasets").load_digits()
    return np.column_stack([digits.data, digits.target]).astype(np.uint8)


def _digits(rng: np.random.Generator) -> tuple[Split, Split]:
    """Return scikit-learn's embedded digits, split at random."""
    table = _table_of_digits()
    order = rng.permutation(len(table))
    x = table[order, :-1].reshape(-1, 1, 8, 8)
    y = table[order, -1].astype(np.int64)
    return (x[_DIGITS_TEST:], y[_DIGITS_TEST:]), (x[:_DIGITS_TEST], y[:_DIGITS_TEST])
