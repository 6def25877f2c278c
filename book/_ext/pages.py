"""What every page says about itself where it is shared, and a mend of markup that a screen reader stumbles over."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from prunekit.book.site import social

SHORT = 200  # characters of a description
_GLANCE = re.compile(r'<ul class="pk-glance">(.*?)</ul>', re.DOTALL)
_PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_MENDS = (
    # The words that are seen are the name; another name could not be spoken to a voice control.
    ('<summary aria-label="Toggle hidden content">', "<summary>"),
    ('<th class="head"></th>', "<td></td>"),
    (' role="doc-biblioentry"', ' role="listitem"'),  # of a list, which must have items
)


def description(body: str) -> str:
    """Return what a page is about: what it shows at a glance, or else its first paragraph, in whole words."""
    match = _GLANCE.search(body) or _PARAGRAPH.search(body)
    if match is None:
        return ""
    text = _bare(match[1].replace("</li>", " "))
    text = " ".join(re.sub(r"\\[()]", "", text).split())
    return text if len(text) <= SHORT else text[: SHORT - 1].rsplit(" ", 1)[0] + "…"


def _bare(markup: str) -> str:
    """Return the words of some HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def _tell(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the template what it says of a page to those who share it, and mend the page's markup."""
    body = context.get("body", "")
    for wrong, right in _MENDS:
        body = body.replace(wrong, right)
    if body:
        context["body"] = body
    context["pk_description"] = description(body)
    context["pk_base"] = (app.config.html_baseurl or "").rstrip("/")
    if context["pk_base"] and doctree is not None:
        words = [_bare(context["title"]), context["pk_description"]]
        address = social.write(Path(app.outdir), page, *words, _bare(context["docstitle"]))
        context["pk_card"] = f"{context['pk_base']}/{address}"
        context["pk_card_words"] = ": ".join(filter(None, words))
        context["pk_card_size"] = social.WIDTH, social.HEIGHT


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-page-context", _tell, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
