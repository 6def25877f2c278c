"""What is said where a package is missing that an extra of this library installs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {"torch": "nets", "torchvision": "nets", "sklearn": "nets", "safetensors": "nets", "curvlinops": "nets"}


class MissingExtra(ModuleNotFoundError):
    """A package is missing that an extra of this library installs; the message says which."""


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Say which extra to install where an import inside fails, and what needs it.

    Raises
    ------
    MissingExtra
        If a package of `EXTRAS` is not there.
    """
    try:
        yield
    except ModuleNotFoundError as reason:
        package = (reason.name or "").partition(".")[0]
        if isinstance(reason, MissingExtra) or package not in EXTRAS:
            raise
        raise MissingExtra(
            f"{what} needs {package}, which is not installed: pip install 'prunekit[{EXTRAS[package]}]'", name=package
        ) from reason
