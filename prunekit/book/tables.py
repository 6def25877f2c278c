"""Tables of small results: rows as the columns that figures and recordings hold, and rows chosen by their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prunekit import _checks
from prunekit._checks import Floats


def tabulated(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns, as `prunekit.show` takes numbers.

    Parameters
    ----------
    rows : sequence of mappings
        Each maps the names of the columns to values; all have the same names.

    Raises
    ------
    ValueError
        If there is no row, or the rows' names differ.

    Examples
    --------
    >>> tabulated([{"width": 1, "risk": 1.0}, {"width": 2, "risk": 0.5}])
    {'width': [1, 2], 'risk': [1.0, 0.5]}
    """
    listed = _checks.listed("rows", rows, "mappings")
    for row in listed:
        _checks.instance("rows", row, Mapping, "a sequence of mappings from columns to values")
    names = {tuple(row) for row in listed}
    if len(names) != 1:
        raise ValueError(
            f"rows have the columns {sorted(map(str, names))}: give rows of the same columns, at least one"
        )
    return {name: [row[name] for row in listed] for name in names.pop()}


def selected(table: Mapping[str, Sequence[Any]], **values: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return the rows of a table that have certain values in some columns, as arrays by column.

    Parameters
    ----------
    table : mapping
        The columns, of equal length, by name.
    **values
        The wanted values, by the names of their columns.

    Raises
    ------
    ValueError
        If there is no such column; the message names those there are.

    Examples
    --------
    >>> selected({"width": [1, 2, 2], "risk": [1.0, 0.5, 0.4]}, width=2)["risk"]
    array([0.5, 0.4])
    """
    _checks.instance("table", table, Mapping, "a mapping from names to columns")
    columns = {name: _checks.listed("table", column, "values in each column") for name, column in table.items()}
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("table has columns of different lengths: give columns of equal length")
    for name in values:
        if name not in table:
            raise ValueError(f"the table has no column {name!r}: it has {', '.join(table)}")
    length = len(next(iter(columns.values()), []))
    chosen = [row for row in range(length) if all(columns[name][row] == value for name, value in values.items())]
    return {name: np.array([column[row] for row in chosen]) for name, column in columns.items()}


def pooled(samples: Any) -> tuple[Floats, float, int]:
    """Return the mean of each cell, and one standard error for all, from the deviations within all cells.

    With few repetitions each the spread within one cell is hardly known; where cells spread alike, all tell of it.

    Parameters
    ----------
    samples : (n, cells) array
        Independent repetitions along the first axis, at least two.

    Returns
    -------
    mean : (cells,) array
        The means.
    error : float
        Their standard error.
    repetitions : int
        As many repetitions as a single cell would need for an error as well known: cells · (n - 1) + 1.

    Raises
    ------
    ValueError
        If there are fewer than two repetitions.

    Examples
    --------
    >>> mean, error, repetitions = pooled([[1.0, 5.0], [3.0, 7.0]])
    >>> mean.tolist(), error, repetitions
    ([2.0, 6.0], 1.0, 3)
    """
    values = _checks.array("samples", samples, ndim=2)
    n, cells = values.shape
    if n < 2:
        raise ValueError(f"samples has {n} repetitions: give at least 2 along the first axis")
    freedom = cells * (n - 1)
    mean = values.mean(axis=0)
    return mean, float(np.sqrt(np.sum((values - mean) ** 2) / freedom / n)), freedom + 1
