"""Keep the site whole without a network: drop scripts that only a live kernel would need."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def _drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Remove thebe's scripts: they ask for a server, and declare the same constant twice."""
    context["script_files"] = [f for f in context.get("script_files", []) if "thebe" not in _name(f)]
    context["css_files"] = [f for f in context.get("css_files", []) if "thebe" not in _name(f)]


def _name(file: Any) -> str:
    parts = [str(getattr(file, "filename", None) or file), *map(str, getattr(file, "attributes", {}).values())]
    return " ".join(parts).lower()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after the extensions that add scripts."""
    app.connect("html-page-context", _drop_thebe, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
