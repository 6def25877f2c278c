"""Keep the site whole without a network, and light: what no page uses is not shipped."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_MATHJAX = "sphinx-mathjax-offline"  # brings all of MathJax, 24 MB; of these files pages load some
_PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")
_LEFT_OUT = ("input/tex/extensions/all-packages.js",)
_NOT_FOR_READERS = ("**/*.map", "locales", "sphinx-thebe.*", "webpack-macros.html", "sbt-webpack-macros.html")


def _drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Remove thebe's scripts: they ask for a server, and declare the same constant twice."""
    for kind in ("script_files", "css_files"):
        context[kind] = [f for f in context.get(kind, []) if "thebe" not in _name(f)]


def _name(file: Any) -> str:
    parts = [str(getattr(file, "filename", None) or file), *map(str, getattr(file, "attributes", {}).values())]
    return " ".join(parts).lower()


def _offer_notebook(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Let the button for downloads give the notebook that the page itself offers: no sources are shipped beside it."""
    given = [dest for file, (pages, dest) in app.env.dlfiles.items() if page in pages and file.endswith(".ipynb")]
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            kept = [b for b in group["buttons"] if b["label"] == "download-pdf-button"]
            if given:
                notebook = next(b for b in group["buttons"] if b["label"] == "download-source-button")
                address = context["pathto"](f"_downloads/{given[0]}", 1)
                kept.insert(0, notebook | {"url": address, "text": ".ipynb", "tooltip": "Download notebook file"})
            group["buttons"] = kept


def _lighten(app: Sphinx, failure: Exception | None) -> None:
    """Ship the parts of MathJax that pages load, and none of the files that only builders of the theme need."""
    if failure is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    spec = find_spec(_MATHJAX)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{_MATHJAX} is not installed: make .venv/.ready")
    whole = Path(spec.submodule_search_locations[0]) / "static" / "mathjax"
    for part in _PARTS:
        there = static / "mathjax" / part
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(whole / part, there) if (whole / part).is_dir() else shutil.copy(whole / part, there)
    for pattern in (*_NOT_FOR_READERS, *(f"mathjax/{name}" for name in _LEFT_OUT)):
        for path in list(static.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after the extensions that add scripts."""
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    app.connect("html-page-context", _drop_thebe, priority=950)
    app.connect("html-page-context", _offer_notebook, priority=951)
    app.connect("build-finished", _lighten, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
