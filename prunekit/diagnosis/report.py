"""The report: layers, limit, theories, advice, as tables, masks, text, and a page of its own."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prunekit import _checks
from prunekit._system import files
from prunekit.diagnosis import tables
from prunekit.diagnosis.advice import Advice, advice
from prunekit.diagnosis.frames import frame
from prunekit.diagnosis.theories import Theory, theories

if TYPE_CHECKING:
    from prunekit.diagnosis.plan import CostPlan
    from prunekit.masks import Mask

Score = Literal["best", "magnitude", "hessian"]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What a diagnosis came to.

    Attributes
    ----------
    found : mapping
        What each part found, by its name: numbers, words and tensors.
    network : mapping
        The network: what is covered, ε, balanced scales.
    plan : CostPlan
        What was planned.
    spent : mapping from part to float
        Seconds that each part took.
    left_out : mapping from part to str
        Why each of the others was not done.
    """

    found: Mapping[str, Any]
    network: Mapping[str, Any]
    plan: CostPlan
    spent: Mapping[str, float]
    left_out: Mapping[str, str]

    @property
    def layers(self) -> Rows:
        """One row for every parameter, those that are left alone with their reason."""
        return tables.layers(self.found, self.network)

    @property
    def limit(self) -> Rows:
        """One row for every way to say how many weights can go, with its error and the question it answers."""
        return tables.limits(self.found, self.left_out)

    @property
    def theories(self) -> tuple[Theory, ...]:
        """Five lines: prediction, what was checked, measurement."""
        return theories(self.found, self.network, self.left_out)

    @property
    def advice(self) -> tuple[Advice, ...]:
        """At most five sentences, each with its evidence."""
        return advice(self.found, self.network)

    def masks(self, keep: float, score: Score = "best", scope: Literal["global", "layer"] = "global") -> Mask:
        """Return a mask of the network that keeps a share of its weights.

        Parameters
        ----------
        keep : float
            The share kept, in (0, 1].
        score : str
            "magnitude", of the balanced network; "hessian", H_ii θ_i²; "best": Hessian unless the held-out loss at the
            compared share nearest to `keep` rose less by magnitude; magnitude where nothing was compared.
        scope : str
            "global" or "layer".

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or saliencies were left out.
        """
        from prunekit.masks import Mask

        _checks.choice("score", score, ("best", "magnitude", "hessian"))
        keep = _checks.scalar("keep", keep, positive=True)
        if keep > 1:
            raise ValueError(f"keep is {keep}: give a share in (0, 1]")
        wanted = self._best(keep) if score == "best" else score
        if wanted == "hessian":
            if "saliencies" not in self.found:
                why = self.left_out.get("saliencies", "they were not computed")
                raise ValueError(f"score is 'hessian', and saliencies are missing ({why}): give a larger budget")
            return Mask.from_scores(self.found["saliencies"]["values"], keep, scope)
        return Mask.from_scores({name: w.abs() for name, w in self.network["weights"].items()}, keep, scope)

    def _best(self, keep: float) -> str:
        rows = [r for r in self.found.get("scores", {}).get("rows", []) if r["scope"] == "global"]
        if not any(r["score"] == "hessian" for r in rows):
            return "magnitude"
        near = min({r["keep"] for r in rows}, key=lambda k: abs(math.log(k / keep)))
        best: str = min((r for r in rows if r["keep"] == near), key=lambda r: r["rise"])["score"]
        return best

    def shrink(self, model: Any, example_inputs: Any, keep: float) -> Any:
        """Return a smaller network: whole units of the least importance removed by Torch-Pruning.

        See `prunekit.diagnosis.shrinking.shrink`.
        """
        from prunekit.diagnosis.shrinking import shrink

        return shrink(self, model, example_inputs, keep)

    @property
    def units(self) -> Rows:
        """One row for every layer: its output units, and how many of them hold 90% of the importance."""
        return tables.units(self.found, self.network)

    def plot(self, axes: Any = None) -> Any:
        """Draw the rise of the loss against the share removed, measured and predicted; return matplotlib's axes."""
        from prunekit.diagnosis.drawing import plot

        return plot(self.found, self.network, axes)

    def to_frame(self, table: Literal["layers", "limit", "theories", "advice", "units"] = "layers") -> Any:
        """Return one of the tables as a pandas DataFrame."""
        return frame(self._rows(table))

    def to_csv(
        self, path: str | Path, table: Literal["layers", "limit", "theories", "advice", "units"] = "layers"
    ) -> None:
        """Write one of the tables as CSV."""
        rows = self._rows(table)
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
        files.write(_checks.path("path", path), text.getvalue())

    def to_dict(self) -> dict[str, Any]:
        """Return everything but weights and masks as what JSON can hold; what has no error bar has null."""
        tables_ = {name: self._rows(name) for name in ("layers", "limit", "theories", "advice")}
        return tables.plain(
            {
                **tables_,
                "epsilon": self.network["epsilon"],
                "samples": self.network["samples"],
                "covered": self.network["share"],
                "converted_from": self.network["kind"],
                "seconds": dict(self.spent),
                "left_out": dict(self.left_out),
            }
        )

    def to_json(self, path: str | Path) -> None:
        """Write everything but weights and masks as JSON."""
        files.write(_checks.path("path", path), json.dumps(self.to_dict(), indent=1))

    def to_html(self, path: str | Path) -> None:
        """Write the report as one page that needs nothing else: figures, tables, light and dark."""
        from prunekit.diagnosis.page import page

        files.write(_checks.path("path", path), page(self))

    def _rows(self, table: str) -> Rows:
        _checks.choice("table", table, ("layers", "limit", "theories", "advice", "units"))
        if table in ("theories", "advice"):
            listed: Sequence[Theory | Advice] = getattr(self, table)
            return [tables.flat(each) for each in listed]
        rows: Rows = getattr(self, table)
        return rows

    def __str__(self) -> str:
        """Return the report as tables of text."""
        return tables.text(self)

    def __repr__(self) -> str:
        """Return the report as tables of text."""
        return tables.text(self)

    def _repr_html_(self) -> str:
        """Return the report for a notebook."""
        from prunekit.diagnosis.page import body

        return body(self)
