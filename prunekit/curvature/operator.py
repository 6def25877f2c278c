"""The Hessian or Gauss-Newton matrix of a network's loss as an operator: its products with vectors, not its entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit.curvature import products, twice
from prunekit.curvature.matrix import like, vectors
from prunekit.curvature.problem import Kind, NotWritten, Problem, Product, TooLarge
from prunekit.curvature.products import KINDS, LACKS, Route
from prunekit.nets import access, checkpoint, door, identity
from prunekit.nets.access import Data, Loss, Names
from prunekit.nets.convolutions import surviving
from prunekit.nets.covered import said
from prunekit.nets.data import dataset, loss_of
from prunekit.nets.losses import NOTHING_COUNTS, Mean
from prunekit.nets.splits import TrainingSplit

_COLUMNS_AT_ONCE = 16  # of a matrix that is multiplied, which takes so many times the memory of one product
_DRIFT = 1e-5  # relative change of the mean loss over the same data that is allowed; the order of sums changes it less


class Curvature:
    """The Hessian, or Gauss-Newton matrix, of the mean loss over the data, with respect to a network's parameters.

    The network is copied, so that training it further does not change the operator; it is evaluated in evaluation
    mode, on all the data, without augmentation. Rows are in the order of the parameters in the model, each flattened;
    the padding row of an embedding, which torch does not train, counts as a constant and has a row of zeros.

    Parameters
    ----------
    model : Module
        The network at θ.
    loss : callable
        (outputs, labels) -> mean over the samples, twice differentiable. The weighted mean of torch's cross-entropy
        (class weights, ignored labels) is understood: each batch counts by its labels' total weight.
    data : (inputs, labels) or an iterable of them
        Read again for every product: a list or a DataLoader, no generator. Batches may differ in size.
    kind : str
        "hessian", or "gauss-newton" for the mean of Jᵀ H_ℓ J, which leaves out the network's own curvature.
    parameters : names, optional
        Names of parameters or modules: the block of the matrix that belongs to them; all parameters by default.
    batch_size : int
        Samples at a time: larger batches are cut, which bounds the memory and changes no result but in rounding.
    double : bool
        Whether everything is computed in double precision, whatever the model's. In single precision a product
        carries errors of about 1e-7 times the largest eigenvalue, below which no eigenvalue can be told from 0.
    derivatives : str
        "exact", or "finite-differences" of gradients, for networks that torch cannot differentiate twice: two passes a
        product, with the error that `error` says; `double` makes it far smaller.

    Attributes
    ----------
    loss : float
        Mean loss over the data.
    samples : int
        Number of samples.
    route : str
        How products are computed: "written", "kept", "forward", "reverse" or "differences", see Notes.
    error : float
        Error of the products relative to their length, of finite differences: by how much they change when the step is
        doubled, or are asymmetric, whichever is more; 0 where derivatives are exact (up to rounding).
    coverage : str
        Which share of the network's parameters it covers, and what the others are.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described: the loss is no mean over the samples, the mean loss differs from one pass
        over the data to the next (augmentation, dropped batches, a loader that is exhausted), or batches that would
        be cut are of a network that mixes their samples (batch normalization on batch statistics); and if the matrix
        comes out asymmetric by every route, since then torch has false derivatives for some layer.
    NotImplementedError
        If torch lacks a derivative that every route needs.
    RuntimeError
        If the products fail by every route for another reason; torch.OutOfMemoryError as torch raises it.
    FloatingPointError
        If the loss is not finite.

    Notes
    -----
    For perceptrons of ReLUs with cross-entropy, products are written out. Those of other networks differentiate the
    gradient in reverse mode again; its graph is made once and kept, as are copies of the data. Where either would keep
    more than 1 GB, products are those of curvlinops (forward over reverse differentiation), and where these are not
    symmetric, or torch cannot form them, of the reverse mode again, with a new graph each time. Symmetry,
    uᵀHv = vᵀHu, is tried with one pair of vectors, to 1e-9, or 1e-4 in single precision: on the first batch, and on all
    the data where that batch has no curvature, or misses by less than 100 times, or anything is kept. At a
    kink of ReLU the second derivative is 0, as it is in autograd.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> data = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> operator = Curvature(layer, torch.nn.functional.mse_loss, [data])
    >>> operator.product(np.array([1.0, 1.0]))
    array([1., 4.])
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Data,
        *,
        kind: Kind = "hessian",
        parameters: Names | None = None,
        batch_size: int = 1000,
        double: bool = False,
        derivatives: Literal["exact", "finite-differences"] = "exact",
    ) -> None:
        _checks.choice("kind", kind, tuple(KINDS))
        _checks.choice("derivatives", derivatives, ("exact", "finite-differences"))
        exact = derivatives == "exact"
        if not exact and kind != "hessian":
            raise ValueError(f"derivatives is {derivatives!r}, and kind {kind!r} needs first ones only: give 'exact'")
        double = _checks.flag("double", double)
        if isinstance(data, Iterator):
            raise TypeError(
                f"data is a {type(data).__name__}, which is read but once: give a list of it, or a DataLoader"
            )
        whole = access.module(model)
        model, data, loss = door.opened(model, data, loss)
        self.kind = kind
        self.names = tuple(access.parameters(model, parameters))
        self.coverage, self.error = said(whole, self.names), 0.0
        twice.refuse(model, self.names, hessian=exact and kind == "hessian")
        self._model = twice.duplicate(model).eval()
        if double:
            self._model = self._model.double()
        for name, p in self._model.named_parameters():
            p.requires_grad_(name in self.names)
        chosen = dict(self._model.named_parameters())
        self._parameters = [chosen[name] for name in self.names]
        self._check_types()
        held = twice.constants(self._model, {name: chosen[name] for name in self.names})
        self._free = twice.freed(held, {name: chosen[name] for name in self.names})
        self._has_constants = bool((self._free == 0).any())
        self._loss_function, self._data = loss, data
        self._mean = Mean(loss, self._parameters[0])
        self._batch_size = _checks.count("batch_size", batch_size)
        self._cut = False  # whether a batch had to be cut, so far
        if isinstance(data, TrainingSplit) and data.size < len(data.data.train_y):
            self._refuse_mixing(*next(access.batches(data, self.device)))
        self.loss, self.samples, total = self._pass_over(tried=True)
        again, *_ = self._pass_over()
        if abs(again - self.loss) > _DRIFT * max(abs(self.loss), 1e-3):
            raise ValueError(
                f"data give a mean loss of {self.loss:.6g} on one pass and {again:.6g} on the next: give the same "
                "samples every time, without augmentation"
            )
        self._problem = Problem(self._model, self._mean, self._parameters, self._batches, total, kind)
        self.route: Route
        self.route, self._product = self._symmetric() if exact else self._differing()

    def __repr__(self) -> str:
        """Say of what it is, and how products are computed."""
        error = f", error {self.error:.1g}" if self.error else ""
        return f"Curvature({self.kind} of {self.coverage}; {self.samples:,} samples, {self.route}{error})"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the products, which are made again."""
        return {name: value for name, value in self.__dict__.items() if name != "_product"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the products again."""
        self.__dict__.update(state)
        self._product = products.product(self._problem, self.route)

    @classmethod
    def of_dataset(
        cls,
        model: nn.Module,
        data: Any,
        *,
        loss: Loss = nn.functional.cross_entropy,
        batch_size: int = 1000,
        **options: Any,
    ) -> Curvature:
        """Return the curvature of a loss over a data set's training images, normalized and not augmented.

        Parameters
        ----------
        model : Module
            A network that takes images (b, c, h, w), as those of `prunekit.nets.models` do.
        data : Dataset or batches
            The data set, as for `prunekit.nets.fit`, on the model's device; it is normalized batch by batch, so that
            its bytes stay bytes.
        loss, batch_size
            As for `Curvature`.
        **options
            `kind`, `parameters`, `double`.
        """
        loss = loss_of(data, loss)
        data, batch_size = dataset(data, loss), _checks.count("batch_size", batch_size)
        return cls(model, loss, TrainingSplit(data, batch_size), batch_size=batch_size, **options)

    def _check_types(self) -> None:
        """Refuse parameters of several types or devices, which make no vector."""
        kinds = {(p.dtype, p.device) for p in self._parameters}
        if len(kinds) > 1:
            raise ValueError(f"parameters have types and devices {sorted(map(str, kinds))}: give a model of one kind")

    @property
    def dimension(self) -> int:
        """Number of parameters D."""
        return sum(p.numel() for p in self._parameters)

    @property
    def device(self) -> torch.device:
        """Where products are computed."""
        return self._parameters[0].device

    @property
    def dtype(self) -> torch.dtype:
        """The type products are computed in."""
        return self._parameters[0].dtype

    @cached_property
    def identity(self) -> dict[str, str]:
        """What tells this operator from another: kind, names, and checksums of weights, buffers, data, loss."""
        state = checkpoint.digest(self._model.state_dict())
        data: dict[str, Tensor] = {}
        for k, (inputs, labels, _) in enumerate(self._batches()):
            tensors = {str(i): x for i, x in enumerate(inputs) if isinstance(x, Tensor)}
            number = int(checkpoint.digest({**tensors, "labels": labels})[:15], 16)
            data[str(k)] = torch.tensor(number)
        return {
            "kind": self.kind,
            "parameters": " ".join(self.names),
            "type": str(self.dtype),
            "model": state,
            "data": checkpoint.digest(data),
            "loss": identity.of_loss(self._mean.loss),
            **({"derivatives": self.route} if self.route == "differences" else {}),
        }

    def product(self, v: Any) -> Any:
        """Return the product with v.

        Parameters
        ----------
        v : (D,) or (D, k) array or tensor
            One vector or k of them.

        Returns
        -------
        array or tensor of v's shape
            The product, in double precision, on v's device.

        Raises
        ------
        ValueError
            If v has another number of rows.
        FloatingPointError
            If a product is not finite.
        """
        with np.errstate(over="ignore"):
            given = vectors(v, self.dimension).to(self.device, self.dtype)
        if not access.all_finite(given):
            raise FloatingPointError(f"v leaves the range of {self.dtype}, in which products are taken: rescale v")
        columns = given if given.ndim == 2 else given[:, None]
        result = torch.cat([self._times(part) for part in columns.split(_COLUMNS_AT_ONCE, dim=1)], dim=1).double()
        access.finite("a product of v with the curvature", [result])
        return like(v, result.view(given.shape))

    def _times(self, V: Tensor, by: Product | None = None) -> Tensor:
        """Return the products with columns (D, k); constants have rows and columns of zeros."""
        with twice.differentiable(self._model):
            result = (by or self._product)(V * self._free[:, None] if self._has_constants else V.clone()).detach()
        return result * self._free[:, None] if self._has_constants else result

    def _gap(self, by: Product) -> float:
        """Return by how much products are asymmetric."""
        return twice.asymmetry(lambda V: self._times(V, by), self._free, self.dimension)

    def _differing(self) -> tuple[Route, Product]:
        """Return products by finite differences, having measured by how much they may be off."""
        by = products.product(self._problem, "differences")
        draws = torch.randn(self.dimension, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        V = draws.to(self.device, self.dtype)
        near, far = (self._times(V, each).double() for each in (by, products.differences(self._problem, 2.0)))
        size = float(near.norm())
        change = float((near - far).norm()) / size if size else 0.0
        self.error = max(change, self._gap(by))
        if not self.error < 1:
            raise FloatingPointError(
                f"finite differences of gradients are off by {self.error:.2g} of their length: give double=True, or "
                "smoother layers"
            )
        return "differences", by

    def _symmetric(self) -> tuple[Route, Product]:
        """Return the first route by which the matrix is symmetric."""
        gaps: list[str] = []
        failed: list[Exception] = []
        with torch.inference_mode(False):  # otherwise no derivatives could be taken with respect to a copy of the batch
            batch = next(self._batches())
        # While `tried` holds a batch, products are of that batch; those that keep anything are of all the data at once.
        # One product serves for both, since torch's tying of shared layers does not allow two of them.
        tried = [batch]
        problem = replace(self._problem, batches=lambda: iter(tried) if tried else self._batches())
        limit = twice.tolerance(self.dtype)
        keep: tuple[Route, ...] = ("written", "kept")
        others: tuple[Route, ...] = ("forward", "reverse")
        for route in keep + others:
            try:
                tried[:] = [] if route in keep else [batch]
                by = products.product(problem, route)
                gap = self._gap(by)
                tried.clear()
                if route not in keep and (gap == 0 or limit < gap <= 100 * limit):  # no curvature there, or rounding
                    gap = self._gap(by)
            except (TooLarge, NotWritten):
                continue
            except torch.OutOfMemoryError:  # a RuntimeError, too
                raise
            except LACKS as reason:
                failed.append(reason)
                continue
            if gap <= limit:
                return route, by
            gaps.append(f"{gap:.2g}")
        if not gaps:
            *_, forward, last = failed
            if twice.is_lack(last):
                raise NotImplementedError(
                    f"model, or loss, has a layer that torch cannot differentiate twice ({last}): give "
                    "derivatives='finite-differences', which says its error, or kind='gauss-newton'"
                )
            raise RuntimeError(
                f"products with the {self.kind} matrix fail by both routes: in forward mode: {forward}; in reverse "
                f"mode: {last}"
            ) from last
        if self.dtype != torch.float64:  # if rounding alone is wrong, double precision shows it
            exact = type(self)(
                self._model, self._loss_function, self._data, kind=self.kind, parameters=self.names,
                batch_size=self._batch_size, double=True,
            )  # fmt: skip
            return exact.route, products.product(self._problem, exact.route)
        raise ValueError(f"model has a curvature that is asymmetric by {' and '.join(gaps)}: {twice.FALSE_HESSIAN}")

    def vector(self, values: Mapping[str, Any]) -> Tensor:
        """Return a vector (D,), in double precision, from tensors by parameter name; what is not named is 0.

        Raises
        ------
        ValueError
            If a name is none of the operator's parameters, or a shape is not the parameter's.
        """
        _checks.instance("values", values, Mapping, "a mapping from names to tensors")
        unknown = [name for name in values if name not in self.names]
        if unknown:
            raise ValueError(f"values names {unknown[0]!r}: give names among {', '.join(self.names)}")
        parts = []
        for name, p in zip(self.names, self._parameters, strict=True):
            part = _part(f"values[{name!r}]", values[name]) if name in values else torch.zeros_like(p).detach()
            if part.shape != p.shape:
                raise ValueError(f"values[{name!r}] has shape {tuple(part.shape)}: give one of shape {tuple(p.shape)}")
            parts.append(part.to(self.device, torch.float64).flatten())
        return torch.cat(parts)

    def unflatten(self, vector: Any) -> dict[str, Tensor]:
        """Return a vector's (D,) parts by parameter name, each of the parameter's shape."""
        given = vectors(vector, self.dimension, "vector")
        if given.ndim != 1:
            raise ValueError(f"vector has shape {tuple(given.shape)}: give one of shape ({self.dimension},)")
        parts = given.split([p.numel() for p in self._parameters])
        return {name: part.view(p.shape) for name, p, part in zip(self.names, self._parameters, parts, strict=True)}

    def _batches(self) -> Iterator[tuple[tuple[Any, ...], Tensor, float]]:
        """Yield the data as (inputs, labels, weight), cut to the batch size, in the operator's precision."""
        for inputs, labels, count in access.batches(self._data, self.device):
            size = self._batch_size if all(_is_cut(x, count) for x in inputs) else count
            if size < count and not self._cut:
                self._cut = True
                self._refuse_mixing(inputs, labels, count)
            for start in range(0, count, size):
                part = slice(start, start + size)
                weight = self._mean.weight(labels[part])
                if weight > 0:  # torch's mean over ignored labels only is nan
                    yield (*self._typed(inputs, labels, part, count), weight)

    def _typed(
        self, inputs: tuple[Any, ...], labels: Tensor, part: slice, count: int
    ) -> tuple[tuple[Any, ...], Tensor]:
        """Return a part of a batch, in the operator's precision."""
        cut = tuple(x[part] if _is_cut(x, count) else x for x in inputs)
        typed = tuple(x.to(self.dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in cut)
        chosen = labels[part]
        return typed, chosen.to(self.dtype) if chosen.is_floating_point() else chosen

    def _pass_over(self, tried: bool = False) -> tuple[float, int, float]:
        """Return the mean loss, the number of samples and their weights' total; `tried`: see `Mean.check`."""
        sum_, samples, total = 0.0, 0, 0.0
        with torch.no_grad(), surviving(self._model):
            for inputs, labels, weight in self._batches():
                with access.taking(inputs):
                    outputs = self._model(*inputs)
                sum_ += weight * float(self._mean(outputs, labels))
                if tried:
                    self._mean.check(outputs, labels)
                samples += len(labels)
                total += weight
        if not samples:
            raise ValueError(NOTHING_COUNTS)
        return sum_ / total, samples, total

    def _refuse_mixing(self, inputs: tuple[Any, ...], labels: Tensor, count: int) -> None:
        """Refuse to cut batches of a network whose outputs for a sample depend on the others beside it."""
        few, _ = self._typed(inputs, labels, slice(0, max(self._batch_size, 4)), count)
        with surviving(self._model):
            mixed = all(_is_cut(x, count) for x in inputs) and access.mixes(self._model, few)
        if mixed:
            raise ValueError(
                "model mixes the samples of a batch (batch normalization on batch statistics?), and batches would be "
                f"cut at batch_size={self._batch_size}: give a larger batch_size, or smaller batches of your own"
            )


def _is_cut(x: Any, count: int) -> bool:
    """Tell whether an input has one row a sample."""
    return isinstance(x, Tensor) and x.ndim > 0 and len(x) == count


def _part(name: str, value: Any) -> Tensor:
    """Return a parameter's part of a vector: finite real numbers of any shape."""
    if not isinstance(value, Tensor):
        return torch.from_numpy(_checks.numbers(name, value))
    return access.reals(name, access.tensor(name, value).reshape(-1)).reshape(value.shape)
