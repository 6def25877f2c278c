"""A file of weights, layer by layer: what the weights alone tell of a network that is never loaded.

Safetensors files are read through a memory map, so that what is needed is the largest layer's size and not the
file's; torch is not imported. A file that torch wrote is loaded by torch, without running anything that it holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunekit import _checks
from prunekit._checks import Seed
from prunekit._system import bars
from prunekit.diagnosis.frames import frame
from prunekit.diagnosis.tails import Histogram, Tails, left_of, relative_scales, tails
from prunekit.diagnosis.words import percent, pm

_KEEPS = (0.5, 0.2, 0.1, 0.05, 0.02)
_KINDS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
_HEADER = 8  # bytes that hold the header's length
_LONGEST = 10**8  # bytes of a header, of safetensors itself


@dataclass(frozen=True, eq=False, repr=False)
class WeightsReport:
    """What the weights of a file alone tell.

    Attributes
    ----------
    layers : mapping from name to Tails
        Every tensor of two axes or more.
    left : mapping from share kept to mapping from name to share
        What a global cut by magnitude leaves of each layer.
    skipped : mapping from name to str
        The other tensors, each with its reason.
    """

    layers: dict[str, Tails]
    left: dict[float, dict[str, float]]
    skipped: dict[str, str]

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, a layer a row."""
        return frame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a layer; those that were skipped with their reason."""
        scales = relative_scales(each.scale for each in self.layers.values())
        rows: list[dict[str, Any]] = [
            {
                "layer": name,
                **vars(each),
                "relative_scale": float(scale),
                "left_of_10%": self.left[0.1][name],
                "left_alone": "",
            }
            for (name, each), scale in zip(self.layers.items(), scales, strict=True)
        ]
        return rows + [{"layer": name, "left_alone": why} for name, why in self.skipped.items()]

    def __repr__(self) -> str:
        """Return a table."""
        lines = [f"Weights of {len(self.layers)} layers, {len(self.skipped)} other tensors left alone"]
        width = max((len(name) for name in self.layers), default=0)
        for row in self.rows():
            if row["left_alone"]:
                continue
            alpha = pm(row["alpha"], row["error"]) if row["alpha"] is not None else row["reason"]
            lines.append(
                f"  {row['layer']:{width}}  α {alpha:14}  90% of the norm in {percent(row['norm_90']):>5}, scale "
                f"{row['relative_scale']:.2g}, left of it at 10% kept: {percent(row['left_of_10%'])}"
            )
        return "\n".join(lines)


def weights_report(path: str | Path, *, seed: Seed = 0) -> WeightsReport:
    """Return what the weights in a file alone tell, layer by layer.

    Parameters
    ----------
    path : path
        A safetensors file, or a state dict that torch saved.
    seed : int
        Where the shuffles of the tail index come from.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no such file, it is damaged, or holds no tensor of two axes.
    FloatingPointError
        If a weight is not finite.
    """
    file = _checks.path("path", path)
    if not file.is_file():
        raise FileNotFoundError(f"path is {str(file)!r}: give a file of weights that exists")
    layers: dict[str, Tails] = {}
    histograms: dict[str, Histogram] = {}
    skipped: dict[str, str] = {}
    tensors = list(_tensors(file))
    matrices = [name for name, read in tensors if not isinstance(read, str) and read().ndim > 1]
    for name, read in bars.each("weights", tensors, len(tensors), "tensors"):
        if isinstance(read, str):
            skipped[name] = read
            continue
        weight = read()
        if weight.ndim < 2 or weight.size == 0:
            skipped[name] = "empty" if weight.size == 0 else "no matrix"
            continue
        weight = _single(weight)
        try:
            layers[name] = tails(weight, last=name == matrices[-1], seed=_checks.generator(seed))
        except ValueError as reason:
            raise FloatingPointError(f"{name!r}: {reason}") from None
        histograms[name] = Histogram.of(weight.reshape(-1))
    if not layers:
        raise ValueError(f"path is {str(file)!r}, which holds no tensor of two axes or more: give a network's weights")
    return WeightsReport(layers, {keep: left_of(histograms, keep) for keep in _KEEPS}, skipped)


def _tensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield names with a function that returns the tensor, or the reason why there is none."""
    if path.suffix == ".safetensors":
        yield from _safetensors(path)
        return
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as reason:  # torch raises many kinds
        raise ValueError(f"path is {str(path)!r}, which torch cannot read as weights ({reason})") from None
    named = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    for name, t in named.items():
        if not isinstance(t, torch.Tensor) or not t.is_floating_point():
            yield name, "no weights"
            continue
        yield name, lambda t=t: t.detach().float().numpy()


def _safetensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a safetensors file as views of it."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_HEADER), "little")
        if not 0 < length <= min(_LONGEST, path.stat().st_size):
            raise ValueError(f"path is {str(path)!r}, which is no safetensors file: its header has {length} bytes")
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise ValueError(f"path is {str(path)!r}, which is no safetensors file: its header is damaged") from None
    size = path.stat().st_size - _HEADER - length
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind = _KINDS.get(entry["dtype"])
        if kind is None:
            yield name, f"of kind {entry['dtype']}"
            continue
        begin, end = entry["data_offsets"]
        count = int(np.prod(entry["shape"], dtype=np.int64))
        if not 0 <= begin <= end <= size or end - begin != count * kind.itemsize:
            raise ValueError(f"path is {str(path)!r}, where {name!r} leaves the file: it is damaged")
        offset = _HEADER + length + begin
        yield name, lambda k=kind, o=offset, s=tuple(entry["shape"]), n=count: _mapped(path, k, o, s, n)


def _mapped(path: Path, kind: np.dtype[Any], offset: int, shape: tuple[int, ...], count: int) -> NDArray[Any]:
    if count == 0:
        return np.zeros(shape, dtype=kind)
    return np.memmap(path, dtype=kind, mode="r", offset=offset, shape=shape)


def _single(weight: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Return weights in single precision or more; 16 bits that are no half are a bfloat16's, the upper of a float's."""
    if weight.dtype == np.dtype("<u2"):
        wide = np.empty(weight.shape, dtype=np.uint32)
        np.left_shift(weight, 16, out=wide, dtype=np.uint32, casting="unsafe")
        return wide.view(np.float32)
    return np.asarray(weight, dtype=np.float32) if weight.dtype == np.float16 else np.asarray(weight)
