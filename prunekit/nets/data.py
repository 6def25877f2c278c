"""Data sets, held whole on one device and normalized there, batch by batch; images as bytes.

`Dataset.from_arrays` and `Dataset.from_loader` make a data set of what people have, `prunekit.nets.load` reads images
by name. A `Dataset` is frozen; its `normalize` and the functions `crop` and `flip` work on whole batches.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit._checks import Seed
from prunekit.nets import access, gathering, identity, objectives
from prunekit.nets.samples import Inputs, are_classes, check_split, moments, named, single, whole_numbers
from prunekit.nets.several import Several, parts_of

_TENSORS = ("train_x", "train_y", "test_x", "test_y", "mean", "std")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and labels of one data set, on one device, and what a network is to do with them.

    Parameters
    ----------
    name : str
        What the set is called.
    train_x, test_x : (n, …) tensor, or Several
        Inputs with a row a sample, of any shape: uint8 as stored, float32, or whole numbers such as tokens; or several
        inputs. Images are (n, c, h, w). Where both splits are the same object, nothing is held out.
    train_y, test_y : (n, …) tensor
        Labels with a row a sample. Classes are (n,) int64, from 0 to `classes` - 1.
    classes : int
        Number of classes; 0 where there are none, or nobody said.
    mean, std : (c,) float tensor, optional
        What `normalize` subtracts and divides by along the first axis behind the samples, in units of the stored
        inputs: the channels of images, the features of a table. Without them inputs are taken as they are.
    loss : str, callable or None
        What the network is trained by and measured by: a name that `prunekit.curvature.Curvature` takes, (outputs,
        labels) -> mean over the samples, or None for the loss that the network computes itself.
    entries : tuple of str
        By what names the network takes its inputs; empty where it takes them in their order.

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
    train_x: Inputs
    train_y: Tensor
    test_x: Inputs
    test_y: Tensor
    classes: int = 0
    mean: Tensor | None = None
    std: Tensor | None = None
    loss: Any = "cross_entropy"
    entries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that inputs, labels and moments belong together."""
        _checks.text("name", self.name)
        if self.loss is not None and not isinstance(self.loss, str):
            _checks.function("loss", self.loss, "a name, or a function (outputs, labels) -> mean over the samples")
        objectives.named(self.loss)
        entries = _checks.listed("entries", self.entries, "names of a network's inputs")
        object.__setattr__(self, "entries", tuple(_checks.text("entries", each) for each in entries))
        if _checks.count("classes", self.classes, 0) == 1:
            raise ValueError("classes is 1: give at least 2, or 0 where there are none")
        for name in ("train_x", "test_x"):
            for part in parts_of(getattr(self, name)):
                access.tensor(name, part)
        for name in ("train_y", "test_y"):
            access.tensor(name, getattr(self, name))
        shapes = [part.shape[1:] for part in parts_of(self.train_x)]
        for split in ("train", "test"):
            check_split(split, getattr(self, f"{split}_x"), getattr(self, f"{split}_y"), shapes, self._classes_of)
        self._check_moments()

    def _check_moments(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together: give both or neither")
        if self.mean is None or self.std is None:
            return
        access.tensor("mean", self.mean)
        access.tensor("std", self.std)
        if isinstance(self.train_x, Several) or self.train_x.ndim < 2:
            raise ValueError("mean is given for inputs without channels or features: leave mean and std out")
        for name, moment in (("mean", self.mean), ("std", self.std)):
            if moment.shape != self.train_x.shape[1:2] or not bool(torch.isfinite(moment).all()):
                raise ValueError(
                    f"{name} is {moment}: give a finite value for each of {self.train_x.shape[1]} channels"
                )
        if not bool((self.std > 0).all()):
            raise ValueError(f"std is {self.std}: give values above 0 (a constant channel carries nothing)")

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        *,
        test: Any = 0.2,
        loss: Any = "cross_entropy",
        classes: int | None = None,
        standardize: bool = False,
        name: str = "arrays",
        seed: Seed = 0,
    ) -> Dataset:
        """Return a data set of arrays or tensors.

        Parameters
        ----------
        x : array or tensor (n, …), or tuple of them
            Inputs with a row a sample; several as a tuple.
        y : array or tensor (n, …)
            Labels with a row a sample: classes, numbers, tokens, what the loss takes.
        test : float, pair or None
            The share of the samples that is held out, drawn by `seed`; or inputs and labels that are; or None, and
            nothing is held out.
        loss
            As for `Dataset`.
        classes : int, optional
            Number of classes; by default one more than the largest label, where labels are (n,) whole numbers and the
            loss is 'cross_entropy'.
        standardize : bool
            Whether `normalize` makes mean 0 and variance 1 of each channel or feature of the training inputs (those
            that are constant are left so).
        name : str
            What the set is called.
        seed : int, SeedSequence or Generator
            Decides what is held out.

        Raises
        ------
        TypeError, ValueError
            If these are no arrays that go together, or fewer than two samples are to be divided.

        Examples
        --------
        >>> x, y = np.random.default_rng(0).standard_normal((50, 3)), np.arange(50) % 2
        >>> Dataset.from_arrays(x, y)
        Dataset(arrays: 40 + 10 samples of 3, 2 classes, on cpu)
        >>> Dataset.from_arrays(x, x @ [1.0, 0.0, 2.0], loss="mse")
        Dataset(arrays: 40 + 10 samples of 3, loss 'mse', on cpu)
        """
        whole = gathering.paired("x", x, "y", y)
        pair = isinstance(test, tuple | list)
        if pair and len(test) != 2:
            raise ValueError(f"test has {len(test)} entries: give a pair (inputs, labels), a share or None")
        held = gathering.paired("test", test[0], "test", test[1]) if pair else None
        return cls._made(whole, held, None if pair else test, loss, classes, standardize, name, seed)

    @classmethod
    def from_loader(
        cls,
        train: Any,
        test: Any = None,
        *,
        loss: Any = "cross_entropy",
        classes: int | None = None,
        standardize: bool = False,
        name: str = "batches",
        seed: Seed = 0,
    ) -> Dataset:
        """Return a data set of whatever yields batches, read once and held in memory.

        Parameters
        ----------
        train : batches
            A DataLoader, a torch data set, a list of batches, or one batch. A batch is a pair (inputs, labels), several
            inputs with the labels last, or a mapping with its labels inside ('labels', 'label', 'targets', 'target' or
            'y'). A loader that augments is read as it comes out.
        test : batches, float or None
            What is held out: the same, or the share of the samples that is, drawn by `seed`. None holds nothing out.
        loss, classes, standardize, name, seed
            As for `from_arrays`. With ``loss=None`` the network computes its loss itself, from mappings whose labels
            it is given.

        Raises
        ------
        TypeError, ValueError
            If these are no batches, or cannot be laid together.

        Examples
        --------
        >>> import torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> pairs = TensorDataset(torch.zeros(9, 1, 4, 4), torch.arange(9) % 3)
        >>> Dataset.from_loader(DataLoader(pairs, batch_size=4))
        Dataset(batches: 9 images of 1×4×4, nothing held out, 3 classes, on cpu)
        """
        own = loss is None
        whole = gathering.gathered(train, own=own, called="train")
        share = test is None or (np.ndim(test) == 0 and isinstance(test, float | int | np.number))
        held = None if share else gathering.gathered(test, own=own, called="test")
        return cls._made(whole, held, test if share else None, loss, classes, standardize, name, seed)

    @classmethod
    def _made(
        cls,
        whole: gathering.Gathered,
        held: gathering.Gathered | None,
        share: Any,
        loss: Any,
        classes: int | None,
        standardize: bool,
        name: str,
        seed: Seed,
    ) -> Dataset:
        """Return a data set of what was gathered."""
        x, y, entries = whole
        test_x, test_y = x, y
        if held is not None:
            if held.names != entries:
                raise ValueError(f"test has the entries {held.names}, and the rest {entries}: give the same in both")
            test_x, test_y = held.x, held.y
        elif share is not None:
            n, share = len(y), _checks.share("test", share)
            if n < 2 or not 0 < share < 1:
                raise ValueError(
                    f"test is {share} of {n} samples: give a share between 0 and 1 of at least two, or None"
                )
            count = min(max(1, round(share * n)), n - 1)
            order = torch.from_numpy(_checks.generator(seed).permutation(n))
            test_x, test_y = x[order[:count]], y[order[:count]]
            x, y = x[order[count:]], y[order[count:]]
        same = test_x is x
        y = whole_numbers(y)
        test_y = y if same else whole_numbers(test_y)
        if classes is None:
            classes = 0
            if are_classes(loss, y):
                classes = max(2, int(y.max()) + 1, int(test_y.max()) + 1)
        mean = std = None
        if _checks.flag("standardize", standardize):
            mean, std = moments(x)
        return cls(name, x, y, test_x, test_y, classes, mean, std, loss, entries)

    def __repr__(self) -> str:
        """Describe the set in a line."""
        shapes = ["×".join(map(str, part.shape[1:])) or "one number" for part in parts_of(self.train_x)]
        kind = "images" if self.of_images else "samples"
        sizes = f"{len(self.train_y)} + {len(self.test_y)}" if self.held_out else f"{len(self.train_y)}"
        held = "" if self.held_out else ", nothing held out"
        if self.classifies:
            task = "classes not counted" if not self.classes else f"{self.classes} classes"
        else:
            task = "the network's own loss" if self.loss is None else f"loss {named(self.loss)}"
        return f"Dataset({self.name}: {sizes} {kind} of {' and '.join(shapes)}{held}, {task}, on {self.device})"

    @property
    def held_out(self) -> bool:
        """Whether the test split is another than the training split."""
        return self.test_x is not self.train_x

    @property
    def classifies(self) -> bool:
        """Whether a sample has one class, so that there is an accuracy; everything else is measured by the loss."""
        return are_classes(self.loss, self.train_y)

    @property
    def of_images(self) -> bool:
        """Whether the inputs are images (n, c, h, w)."""
        return isinstance(self.train_x, Tensor) and self.train_x.ndim == 4

    @property
    def _classes_of(self) -> tuple[bool, int]:
        return are_classes(self.loss, self.train_y), self.classes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample: channels, height and width of an image."""
        if isinstance(self.train_x, Several):
            raise ValueError("data have several inputs, and no one shape: ask each of train_x.parts")
        return tuple(self.train_x.shape[1:])

    @property
    def inputs(self) -> int:
        """Number of values in a sample."""
        return sum(math.prod(part.shape[1:]) for part in parts_of(self.train_x))

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return parts_of(self.train_x)[0].device

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of both splits, inputs, labels and their shapes, of the moments and the task, as hexadecimal."""
        digest = hashlib.sha256(f"{self.classes}".encode())
        moments = [moment for moment in (self.mean, self.std) if moment is not None]
        splits = (*parts_of(self.train_x), self.train_y, *parts_of(self.test_x), self.test_y)
        for tensor in (*splits, *moments):
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        if self.loss != "cross_entropy" or self.entries:
            digest.update(f"{identity.of_loss(self.loss)}{self.entries}".encode())
        return digest.hexdigest()

    def to(self, device: str | torch.device) -> Dataset:
        """Return the set on a device, itself if it is there."""
        wanted = find_device(device)
        if self.device == wanted:
            return self
        fields = [name for name in _TENSORS if getattr(self, name) is not None]
        moved = {name: getattr(self, name).to(wanted) for name in fields}
        if not self.held_out:
            moved |= {"test_x": moved["train_x"], "test_y": moved["train_y"]}
        copy = replace(self, **moved)
        if "checksum" in self.__dict__:
            copy.__dict__["checksum"] = self.checksum  # the content is the same
        return copy

    @cached_property
    def _affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift (c, 1, …) of `normalize`."""
        assert self.mean is not None and self.std is not None
        behind = [1] * (len(self.shape) - 1)
        scale = (1.0 / self.std).float().view(-1, *behind)
        return scale, -self.mean.float().view(-1, *behind) * scale

    def normalize(self, images: Any) -> Any:
        """Return float32 inputs (b, …) of mean 0 and variance 1, from stored ones.

        Without mean and standard deviation numbers with a fraction, and bytes of images, are only made float32, and
        whole numbers such as tokens stay; several inputs become a tuple of tensors.
        """
        if isinstance(images, Several):
            return tuple(map(single, images.parts))
        access.tensor("images", images)
        if self.mean is None:
            return images.float() if self.of_images and images.dtype == torch.uint8 else single(images)
        channels, axes = self.shape[0], len(self.shape)
        if images.ndim < axes or images.shape[-axes] != channels or not images.numel():
            like = ", ".join(["b", str(channels), "h", "w"] if self.of_images else ["b", *map(str, self.shape)])
            raise ValueError(f"images has shape {tuple(images.shape)}: give images ({like})")
        if images.dtype == torch.float64 and float(images.abs().max()) > torch.finfo(torch.float32).max:
            raise FloatingPointError("images leave the range of single precision: rescale images")
        scale, shift = self._affine
        return torch.addcmul(shift, images.float(), scale)


def dataset(data: Any, loss: Any = "cross_entropy", *, called: str = "data") -> Dataset:
    """Return a `Dataset` as it is, and one of anything else that yields batches, of which nothing is held out.

    Parameters
    ----------
    data : Dataset or batches
        As for `Dataset.from_loader`.
    loss
        What the network is measured by where `data` is no `Dataset`, which knows it.
    called : str
        What the caller calls the data.

    Raises
    ------
    TypeError, ValueError
        If these are no data, or labels that no cross-entropy takes come without a loss.
    """
    if isinstance(data, Dataset):
        return data
    whole = gathering.gathered(data, own=loss is None, called=called)
    if loss == "cross_entropy" and not objectives.is_integer(whole.y):
        raise ValueError(
            f"{called} have labels of type {whole.y.dtype}, which are no classes: say what the loss is, by "
            "Dataset.from_loader(data, loss='mse') for example"
        )
    return Dataset._made(whole, None, None, loss, 0, False, "given data", 0)


def loss_of(data: Any, loss: Any) -> Any:
    """Return the loss of a call: where that is torch's cross-entropy, the default, what a `Dataset` says itself.

    Raises
    ------
    TypeError, ValueError
        If it is no name, function or None.
    """
    if loss is not None and not isinstance(loss, str):
        _checks.function("loss", loss, "a name, or a function (outputs, labels) -> mean over the samples")
    objectives.named(loss)
    default = loss is nn.functional.cross_entropy
    return data.loss if default and isinstance(data, Dataset) and data.loss != "cross_entropy" else loss


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
