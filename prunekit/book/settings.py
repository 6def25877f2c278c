"""The setting that a paper states, as fields with values, and how the one that runs compares with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from prunekit import _checks

Value = int | float | str | None


@dataclass(frozen=True, init=False, eq=False)
class PaperSetting:
    """What a paper says of the setting of an experiment.

    Parameters
    ----------
    **fields
        What the paper states, by name: a number that the experiment must not fall below (images, seeds, epochs, width),
        words for what must be the same (a data set, an optimizer), or None for what the paper does not say.

    Raises
    ------
    TypeError, ValueError
        If a value is neither a finite number, words nor None, or no field is given.

    Examples
    --------
    >>> paper = PaperSetting(data="MNIST", images=60_000, seeds=10, learning_rate=None)
    >>> here = paper.here(data="digits", images=1_500, seeds=10, learning_rate=0.1)
    >>> print(here)
    digits in place of MNIST; 1,500 of 60,000 images; learning rate 0.1, not stated by the paper
    >>> here.is_smaller
    True
    """

    fields: Mapping[str, Value]

    def __init__(self, **fields: Value) -> None:
        if not fields:
            raise ValueError("no field of the setting is given: name what the paper states, such as images=60_000")
        object.__setattr__(self, "fields", MappingProxyType({n: _value(n, v) for n, v in fields.items()}))

    def here(self, **values: Value) -> Setting:
        """Return the setting that runs, beside the paper's.

        Parameters
        ----------
        **values
            The values that run, by the paper's fields; a field that is not given here runs as the paper says.

        Raises
        ------
        TypeError, ValueError
            If a field is none of the paper's, of another kind than the paper's, or what the paper leaves open is not
            given.
        """
        unknown = [name for name in values if name not in self.fields]
        if unknown:
            raise ValueError(f"the paper's setting has no field {unknown[0]!r}: it has {', '.join(self.fields)}")
        pairs: dict[str, tuple[Value, Value]] = {}
        for name, paper in self.fields.items():
            value = _value(name, values.get(name, paper))
            if value is None:
                raise ValueError(f"{name} is not stated by the paper: give the value that runs here")
            if paper is not None and isinstance(value, str) != isinstance(paper, str):
                kind = "words" if isinstance(paper, str) else "a number"
                raise TypeError(f"{name} is {_checks.shown(value)}: give {kind}, as the paper's {paper!r}")
            pairs[name] = value, paper
        return Setting(MappingProxyType(pairs))


@dataclass(frozen=True, eq=False)
class Setting:
    """A setting that runs, field by field beside the paper's: `PaperSetting.here` makes it.

    Attributes
    ----------
    pairs : mapping
        (here, paper) by field; the paper's is None where it says nothing.
    """

    pairs: Mapping[str, tuple[Value, Value]]

    @property
    def smaller(self) -> dict[str, str]:
        """What falls short of the paper, in words by field: fewer of something, or another thing."""
        words = {}
        for name, (here, paper) in self.pairs.items():
            if isinstance(paper, str) and here != paper:
                words[name] = f"{here} in place of {paper}"
            elif isinstance(paper, int | float) and isinstance(here, int | float) and here < paper:
                words[name] = f"{here:,} of {paper:,} {_said(name)}"
        return words

    @property
    def unstated(self) -> dict[str, str]:
        """What the paper does not say, and what was taken, in words by field."""
        taken = {name: here for name, (here, paper) in self.pairs.items() if paper is None}
        return {name: f"{_said(name)} {here}, not stated by the paper" for name, here in taken.items()}

    @property
    def is_smaller(self) -> bool:
        """Whether anything falls short of the paper."""
        return bool(self.smaller)

    def __str__(self) -> str:
        """Say what is smaller and what the paper leaves open."""
        return "; ".join([*self.smaller.values(), *self.unstated.values()]) or "the paper's setting"


def _said(name: str) -> str:
    return name.replace("_", " ")


def _value(name: str, value: Any) -> Value:
    """Return a field's value: a finite number, words, or None."""
    if value is None:
        return None
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(f"{name} is empty: say what it is")
        return value
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value}: give a number, or words")
    number = _checks.real(name, value)
    return int(number) if number.is_integer() else number
