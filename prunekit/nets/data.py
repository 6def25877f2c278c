"""Image data sets, held whole on one device as bytes and normalized there, batch by batch.

`load` reads a set by name. It downloads only when asked to, and says what to do about files that are missing or
damaged. A `Dataset` is frozen; its `normalize` and the functions `crop` and `flip` work on whole batches.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunekit import _checks
from prunekit.nets import access, sources
from prunekit.nets.sources import Split

_DIGITS_TEST = 360  # of the 1797 digits, a fifth: scikit-learn gives no split


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one data set, on one device.

    Parameters
    ----------
    name : str
        What the set is called.
    train_x, test_x : (n, c, h, w) tensor
        Images, uint8 as stored, or float32.
    train_y, test_y : (n,) int64 tensor
        Labels, from 0 to `classes` - 1.
    classes : int
        Number of classes.
    mean, std : (c,) float tensor
        What `normalize` subtracts and divides by, channel by channel, in units of the stored images.

    Raises
    ------
    ValueError, TypeError
        For shapes, labels or types that disagree, empty splits, or a standard deviation of 0.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.zeros(4, 1, 2, 2), torch.tensor([0, 1, 0, 1])
    >>> Dataset("dark", x[:2], y[:2], x[2:], y[2:], classes=2, mean=torch.zeros(1), std=torch.ones(1))
    Dataset(dark: 2 + 2 images of 1×2×2, 2 classes, on cpu)
    """

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int
    mean: Tensor
    std: Tensor

    def __post_init__(self) -> None:
        """Check that images, labels and moments belong together."""
        _checks.count("classes", self.classes, 2)
        _checks.text("name", self.name)
        for name in ("train_x", "train_y", "test_x", "test_y", "mean", "std"):
            access.tensor(name, getattr(self, name))
        _check_split("train", self.train_x, self.train_y, self.train_x.shape[1:], self.classes)
        _check_split("test", self.test_x, self.test_y, self.train_x.shape[1:], self.classes)
        for name, moment in (("mean", self.mean), ("std", self.std)):
            if moment.shape != self.train_x.shape[1:2] or not bool(torch.isfinite(moment).all()):
                raise ValueError(
                    f"{name} is {moment}: give a finite value for each of {self.train_x.shape[1]} channels"
                )
        if not bool((self.std > 0).all()):
            raise ValueError(f"std is {self.std}: give values above 0 (a constant channel carries nothing)")

    def __repr__(self) -> str:
        """Describe the set in a line."""
        shape = "×".join(str(k) for k in self.shape)
        sizes = f"{len(self.train_x)} + {len(self.test_x)} images"
        return f"Dataset({self.name}: {sizes} of {shape}, {self.classes} classes, on {self.device})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        c, h, w = self.train_x.shape[1:]
        return c, h, w

    @property
    def inputs(self) -> int:
        """Number of values in an image."""
        c, h, w = self.shape
        return c * h * w

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.train_x.device

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of both splits, images, labels and their shapes, and of the moments, as hexadecimal digits."""
        digest = hashlib.sha256(f"{self.classes}".encode())
        for tensor in (self.train_x, self.train_y, self.test_x, self.test_y, self.mean, self.std):
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def to(self, device: str | torch.device) -> Dataset:
        """Return the set on a device, itself if it is there."""
        wanted = find_device(device)
        if self.device == wanted:
            return self
        fields = ("train_x", "train_y", "test_x", "test_y", "mean", "std")
        moved = replace(self, **{name: getattr(self, name).to(wanted) for name in fields})
        if "checksum" in self.__dict__:
            moved.__dict__["checksum"] = self.checksum  # the content is the same
        return moved

    @cached_property
    def _affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift (c, 1, 1) of `normalize`."""
        scale = (1.0 / self.std).float().view(-1, 1, 1)
        return scale, -self.mean.float().view(-1, 1, 1) * scale

    def normalize(self, images: Tensor) -> Tensor:
        """Return float32 images (b, c, h, w) of mean 0 and variance 1, from stored ones."""
        access.tensor("images", images)
        channels = self.shape[0]
        if images.ndim < 3 or images.shape[-3] != channels or not images.numel():
            raise ValueError(f"images has shape {tuple(images.shape)}: give images (b, {channels}, h, w)")
        if images.dtype == torch.float64 and float(images.abs().max()) > torch.finfo(torch.float32).max:
            raise FloatingPointError("images leave the range of single precision: rescale images")
        scale, shift = self._affine
        return torch.addcmul(shift, images.float(), scale)


def _check_split(split: str, x: Tensor, y: Tensor, shape: Sequence[int], classes: int) -> None:
    """Refuse images and labels of one split that are no finite images (n, *shape), or have other labels."""
    if x.ndim != 4 or not len(x) or x.shape[1:] != shape:
        raise ValueError(f"{split}_x has shape {tuple(x.shape)}: give images (n, c, h, w), n > 0, alike in both splits")
    if x.dtype not in (torch.uint8, torch.float32):
        raise TypeError(f"{split}_x is of type {x.dtype}: give uint8 or float32")
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        raise ValueError(f"{split}_x holds a number that is not finite: give finite images")
    if y.shape != x.shape[:1] or y.dtype != torch.int64:
        raise ValueError(f"{split}_y is {y.dtype} of shape {tuple(y.shape)}: give int64 labels ({len(x)},)")
    if int(y.min()) < 0 or int(y.max()) >= classes:
        raise ValueError(
            f"{split}_y reaches from {int(y.min())} to {int(y.max())}: give labels from 0 to {classes - 1}"
        )


def find_device(name: str | torch.device) -> torch.device:
    """Return a device that is there, with its index, or raise ValueError."""
    if not isinstance(name, str | torch.device):
        raise TypeError(f"device is {_checks.shown(name)}: give 'cpu' or 'cuda'")
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError) as reason:
        raise ValueError(f"device is {name!r}, which torch does not know ({reason}): give 'cpu' or 'cuda'") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"device is {str(device)!r}, but torch finds no CUDA device here: give 'cpu'")
        index = torch.cuda.current_device() if device.index is None else device.index
        if index >= torch.cuda.device_count():
            raise ValueError(f"device is {str(device)!r}, but there are {torch.cuda.device_count()} CUDA devices")
        return torch.device("cuda", index)
    return device


def crop(images: Tensor, corners: Tensor, pad: int) -> Tensor:
    """Return each image padded by `pad` zeros on every side and cut back to its size at its own corner.

    Parameters
    ----------
    images : (b, c, h, w) tensor
        Stored images.
    corners : (b, 2) integer tensor
        Upper left corners (row, column), from 0 to 2 `pad`; (`pad`, `pad`) changes nothing.
    pad : int
        Width of the frame, at least 0.
    """
    b, c, h, w = images.shape
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad))
    batch = torch.arange(b, device=images.device).view(b, 1, 1, 1)
    channel = torch.arange(c, device=images.device).view(1, c, 1, 1)
    row = (corners[:, :1] + torch.arange(h, device=images.device)).view(b, 1, h, 1)
    column = (corners[:, 1:] + torch.arange(w, device=images.device)).view(b, 1, 1, w)
    return padded[batch, channel, row, column]


def flip(images: Tensor, turned: Tensor) -> Tensor:
    """Return the images, those marked in `turned` (b,) mirrored left to right."""
    return torch.where(turned.view(-1, 1, 1, 1), images.flip(-1), images)


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
    path = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")))
    if path.is_file():
        return np.loadtxt(path, delimiter=",", dtype=np.uint8)
    digits = importlib.import_module("sklearn.datasets").load_digits()  # installed in a way that hides the file
    return np.column_stack([digits.data, digits.target]).astype(np.uint8)


def _digits(rng: np.random.Generator) -> tuple[Split, Split]:
    """Return scikit-learn's embedded digits, split at random."""
    table = _table_of_digits()
    order = rng.permutation(len(table))
    x = table[order, :-1].reshape(-1, 1, 8, 8)
    y = table[order, -1].astype(np.int64)
    return (x[_DIGITS_TEST:], y[_DIGITS_TEST:]), (x[:_DIGITS_TEST], y[:_DIGITS_TEST])
