"""The file in which a spectrum in progress is kept, so that a run that was interrupted goes on where it was.

Where nobody names one, and the run keeps its state by itself (`prunekit.nets.keeping`), the file is named after the
operator, the settings and the start vectors.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from torch import Tensor

from prunekit.curvature.lanczos import Run
from prunekit.curvature.matrix import Operator
from prunekit.nets import checkpoint, keeping

_EVERY = 10  # steps between two states of a probe in progress, in a file that was asked for


class Book:
    """The file in which a spectrum's run is kept: T of every finished run, and the whole state of one in progress."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        operator: Operator,
        steps: int,
        storage: str,
        probes: int,
        together: int,
        shared: bool,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.tensors: dict[str, Tensor] = {}
        self.starts: dict[str, str] = {}
        self.claim = ExitStack()
        self._turn = keeping.Turn() if path is None and keeping.folder() else None
        if self.path is None and self._turn is None:
            return
        identity = getattr(operator, "identity", None)
        if identity is None and self._turn is not None:  # nothing tells its file from others
            self._turn = None
            return
        if identity is None:
            raise ValueError("operator has no identity, by which a file could be told to be its own: give no resume")
        self.settings = {
            "operator": dict(identity),
            "dimension": operator.dimension,
            "steps": steps,
            "storage": storage,
            "probes": probes,
            "together": together,
            "shared": shared,
        }
        weakref.finalize(self, self.claim.close)  # in case nobody closes it
        if self.path is not None:
            self._claim(self.path)

    def _claim(self, path: Path) -> None:
        """Keep others away from the file, and read it."""
        self.claim.enter_context(checkpoint.claimed(path, "probing"))
        try:
            self._read(path)
        except BaseException:
            self.claim.close()
            raise

    def _read(self, path: Path) -> None:
        """Read the file, if there is one, refusing that of another run."""
        if path.exists():
            self.tensors, record = checkpoint.read(path)
            checkpoint.match(path, record["spectrum"], self.settings)
            self.starts = dict(record["starts"])

    def close(self) -> None:
        """Write nothing more, and let others have the file."""
        self.path = self._turn = None
        self.claim.close()

    def due(self, taken: int) -> bool:
        """Tell whether a state has to be written, after so many steps."""
        return self._turn.due() if self._turn else taken % _EVERY == 0

    def open(self, runs: Mapping[int, Run]) -> None:
        """Bring runs to where the file has them."""
        if self._turn and self.path is None:  # the first runs say which spectrum it is
            starts = [checkpoint.digest({"start": run.starts}) for run in runs.values()]
            self.path = keeping.path("spectrum", {**self.settings, "starts": starts})
            assert self.path is not None
            try:
                self._claim(self.path)
            except checkpoint.Claimed:  # the same spectrum is in progress in this very run
                self.path = self._turn = None
        if self.path is None:
            return
        for k, run in runs.items():
            name = checkpoint.digest({"start": run.starts})
            if self.starts.setdefault(str(k), name) != name:
                raise checkpoint.CheckpointError(
                    f"{self.path} has other start vectors: give its seed and distribution, or another path"
                )
            mine = {key.partition(".")[2]: t for key, t in self.tensors.items() if key.partition(".")[0] == str(k)}
            if mine:
                run.restore(mine)

    def save(self, runs: Mapping[int, Run]) -> None:
        """Keep the state of runs; a basis only while it is needed."""
        if self.path is None:
            return
        for k, run in runs.items():
            self.tensors = {key: t for key, t in self.tensors.items() if key.partition(".")[0] != str(k)}
            state = run.state(whole=self._turn is not None)  # who asks for no file may ask for eigenvectors
            self.tensors |= {f"{k}.{name}": t for name, t in state.items()}
        checkpoint.write(self.path, self.tensors, {"spectrum": self.settings, "starts": self.starts})
        if self._turn:
            self._turn.written()
