"""What hatch asks when it builds: the README as an index shows it, without what only a checkout has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURE = re.compile(r"<picture>.*?</picture>\s*|!\[[^\]]*\]\((?!https?://)[^)]*\)\s*", re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://|#)[^)]*\)")


class Readme(MetadataHookInterface):
    """The metadata's README."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the README."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        plain = _LINK.sub(r"\1", _PICTURE.sub("", text))
        metadata["readme"] = {"content-type": "text/markdown", "text": plain}
