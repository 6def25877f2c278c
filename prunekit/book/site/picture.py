"""``python -m prunekit.book.site.picture PAGE FIGURE FOLDER``: copy a figure out of a page's laptop run.

The README's picture is made in this way: it is the figure that the book shows, not one drawn for the README.
"""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

from prunekit.book.badges import METADATA
from prunekit.book.site.evidence import wanted

_IMAGE = re.compile(r'<img class="pk-(light|dark)"[^>]*src="data:image/svg\+xml;base64,([^"]+)"')


def figure(page: str, name: str) -> dict[str, bytes]:
    """Return a figure of a page that was run at laptop scale: SVG by background.

    Raises
    ------
    LookupError
        If the page has not been run as it is now, or shows no figure of that name.
    """
    run = wanted("laptop", page)[0].run
    if run is None:
        raise LookupError(f"{page} has no run at laptop scale: make book first")
    for cell in run.notebook().cells:
        for output in cell.get("outputs", []):
            record = output.get("metadata", {}).get(METADATA, {})
            if record.get("kind") == "figure" and record["name"] == name:
                return {k: base64.b64decode(v) for k, v in _IMAGE.findall(output.data["text/html"])}
    raise LookupError(f"{page} shows no figure named {name!r}")


def main(page: str, name: str, folder: str) -> None:
    """Write both versions of the figure."""
    for background, image in figure(page, name).items():
        (Path(folder) / f"{name}-{background}.svg").write_bytes(image)


if __name__ == "__main__":
    main(*sys.argv[1:])
