"""Text safe inside MyST-Markdown, and numbers as a reader reads them."""

from __future__ import annotations

import re
from datetime import datetime

from prunekit.book import paths
from prunekit.book.runs import progress

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>$|~^#&%:!+=-])|(?<=\d)([.)])(?= )")


def plain(text: str) -> str:
    """Escape everything that MyST-Markdown would read as markup, and put the text on one line."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def without_paths(text: str) -> str:
    """Return a message with this machine's folders cut out: the checkout's, and the kernel's names of its cells."""
    root = re.escape(str(paths.ROOT))
    text = re.sub(rf"{root}(/|(?![\w.-]))", lambda match: "" if match[1] else "the checkout", text)
    return re.sub(r"/\S*?/ipykernel_\d+/\d+\.py", "the cell", text)


def number(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return a duration as a reader says it, with one decimal."""
    return progress.duration(seconds, digits=1)


def moment(stamp: str) -> str:
    """Return an ISO time stamp as date and minute."""
    return datetime.fromisoformat(stamp).strftime("%Y-%m-%d %H:%M UTC")


def memory(size: int) -> str:
    """Return bytes as mebibytes."""
    return f"{size / 2**20:.0f} MiB"
