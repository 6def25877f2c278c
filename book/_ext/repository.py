"""Links to the repository that `_config.yml` names: a page's source, its edit, an issue; Colab and Binder.

Where no repository is named there are none. The site's pages are made of staged files; links lead to what those were
made of. Colab and Binder open what `make notebooks` writes, from the branch that the workflow keeps it on.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from sphinx.application import Sphinx
from sphinx.errors import ConfigError

NOTEBOOKS = "notebooks"  # the branch
MADE_OF = {"book/scorecard": "book/claims.yml", "book/errata": "book/claims.yml"}
_GITHUB = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")


def source(page: str) -> str:
    """Return the file in the repository that a page of the site is made of."""
    return MADE_OF.get(page, "book/api.md" if page.startswith("book/api/") else f"{page}.md")


def buttons(page: str, url: str, branch: str) -> list[dict[str, Any]]:
    """Return the groups of buttons for a page.

    Parameters
    ----------
    page
        The document, such as ``chapters/heavy-tails/networks``.
    url
        Address of the repository on GitHub.
    branch
        The branch with the sources.

    Raises
    ------
    ConfigError
        If the address is another one.
    """
    url = url.rstrip("/")
    if not _GITHUB.fullmatch(url):
        raise ConfigError(f"repository url is {url!r}: give https://github.com/OWNER/NAME, or nothing")
    file, title = source(page), quote(f"On the page {page}")
    links = {
        "Repository": (url, "fab fa-github"),
        "Source of this page": (f"{url}/blob/{branch}/{file}?plain=1", "fas fa-code"),
        "Suggest an edit": (f"{url}/edit/{branch}/{file}", "fas fa-pencil-alt"),
        "Open an issue": (f"{url}/issues/new?title={title}", "fas fa-lightbulb"),
    }
    groups = [_group("The repository", "fab fa-github", links)]
    if page.startswith("chapters/"):
        name = f"{page.removeprefix('chapters/').replace('/', '-')}.ipynb"
        place = url.removeprefix("https://github.com/")
        live = {
            "Colab": (f"https://colab.research.google.com/github/{place}/blob/{NOTEBOOKS}/{name}", "fas fa-play"),
            "Binder": (f"https://mybinder.org/v2/gh/{place}/{NOTEBOOKS}?labpath={name}", "fas fa-play"),
        }
        groups.append(_group("Run this page elsewhere", "fas fa-rocket", live))
    return groups


def _group(words: str, icon: str, links: dict[str, tuple[str, str]]) -> dict[str, Any]:
    def label(text: str) -> str:
        return f"pk-{text.split(maxsplit=1)[0].lower()}"

    inside = [
        {"type": "link", "url": url, "text": text, "tooltip": text, "icon": mark, "label": label(text)}
        for text, (url, mark) in links.items()
    ]
    return {"type": "group", "tooltip": words, "icon": icon, "buttons": inside, "label": label(words) + "-buttons"}


def _add(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Add the buttons to a page that was made of a file."""
    url = app.config.pk_repository
    if url and doctree is not None:
        context["header_buttons"] += buttons(page, url, app.config.pk_branch)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after the theme has made its own buttons."""
    app.add_config_value("pk_repository", "", "html")
    app.add_config_value("pk_branch", "main", "html")
    app.connect("html-page-context", _add, priority=952)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
