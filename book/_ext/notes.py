"""Notes that a page shows over its links and symbols: what a claim states, an equation, a word, a letter.

All is written into the page when it is built, and `notes.js` shows it. Of a citation the note is the title that its
link has already. Without scripts links lead to what the notes say.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from docutils.nodes import make_id
from sphinx.application import Sphinx

from prunekit.book import ledger, paths

# What is no running text, as one piece each: of these none holds another of its own name. Nor are a figure's long
# description and its links, which would be stops of the tabulator key inside what is folded.
_WHOLE = (
    r"<(?P<text>a|code|pre|script|style|button|summary|h[1-6])\b.*?</(?P=text)>"
    r"|<details class=\"pk-described\".*?</details>"
    r"|<(?P<math>span|div) class=\"math.*?</(?P=math)>|<!--.*?-->"
)
_PIECE = re.compile(rf"({_WHOLE}|<[^>]*>)", re.DOTALL)
_DISPLAYED = re.compile(
    r'<div class="math notranslate nohighlight"(?: id="([^"]*)")?>(?=((?:(?!</div>).)*))', re.DOTALL
)
_TAG = re.compile(r"\\tag\{(\w+)\}")
_EQUATION = re.compile(r"\((\w+)\)(?! of (?:the paper|\{)| there)")
_CLAIM = re.compile(
    r'<a class="(?:reference internal|pk-evidence)" (?=href="[^"]*")'
    r'(?=[^>]*>(?:<span class="std std-ref">|.*?<code>)([a-z]+/[\w.-]+)</)',
)
_TERM = re.compile(r"^(\S.*)\n((?:  .*\n?)+)", re.MULTILINE)
_ROW = re.compile(r"^\| (.+?) \| (.+?) \|", re.MULTILINE)
_LETTER = re.compile(r"\\([A-Za-z]+)|([A-Za-z])")
_OTHER_SENSE = {"margin": {"heavy-tails", "diagnosis"}}  # where a word is not the glossary's
_DECORATED = {"hat", "bar", "tilde", "mathcal", "mathbb", "mathbf", "mathrm", "operatorname", "text"}


def annotated(body: str, document: str, to_glossary: str) -> str:
    """Return a page's body with notes.

    Parameters
    ----------
    body : str
        HTML of the page.
    document : str
        The page's name, such as ``chapters/overparameterization/law``.
    to_glossary : str
        The way from the page to the glossary.
    """
    body = _CLAIM.sub(_with_claim, body)
    chapter = document.split("/")[1] if document.startswith("chapters/") else ""
    if chapter:
        body, equations = _named(body)
        known = {word: said for word, said in words().items() if chapter not in _OTHER_SENSE.get(word, ())}
        body = "".join(_linked(body, equations, known, to_glossary))
        body += _letters(chapter)
    return body


def _with_claim(link: re.Match[str]) -> str:
    """Return the beginning of a link to a claim or an erratum, with what it states, and what is right."""
    known = ledger.ledger()
    claim = known.claims.get(link[1]) or known.errata.get(link[1])
    if claim is None:
        return link[0]
    said = f"{known.papers[claim.paper]['short']}, {claim.place}: {claim.statement}"
    said += f" Right: {claim.right}" if claim.right else ""
    return f'{link[0]}data-note="{html.escape(" ".join(said.split()))}" '


def _named(body: str) -> tuple[str, dict[str, str]]:
    """Return a body whose numbered equations have names to lead to, and these by number."""
    equations: dict[str, str] = {}

    def name(box: re.Match[str]) -> str:
        number = _TAG.search(box[2])
        if number is None:
            return box[0]
        equations[number[1]] = box[1] or f"pk-equation-{number[1]}"
        return f'<div class="math notranslate nohighlight" id="{equations[number[1]]}">'

    return _DISPLAYED.sub(name, body), equations


def _linked(body: str, equations: Mapping[str, str], left: dict[str, str], to_glossary: str) -> Iterator[str]:
    """Yield a body's pieces, mentions of equations and the first of each word in running text made links."""
    for piece in _pieces(body):
        if piece.startswith("<"):
            yield piece
            continue
        text = _EQUATION.sub(lambda at: _to_equation(at, equations), piece)
        yield "".join(part if part.startswith("<") else _to_words(part, left, to_glossary) for part in _pieces(text))


def _pieces(body: str) -> Iterator[str]:
    """Yield tags, what is no running text, and the texts between them."""
    end = 0
    for found in _PIECE.finditer(body):
        yield from (body[end : found.start()], found[0])
        end = found.end()
    yield body[end:]


def _to_equation(mention: re.Match[str], equations: Mapping[str, str]) -> str:
    name = equations.get(mention[1])
    return f'<a class="pk-equation" href="#{name}">{mention[0]}</a>' if name else mention[0]


def _to_words(text: str, left: dict[str, str], to_glossary: str) -> str:
    """Return a text with links from words of the glossary that no link led from before, the longest words first."""
    if not left:
        return text
    # Also those that are linked already, so that no part of them is taken for another word.
    pattern = "|".join(sorted(map(re.escape, words()), key=len, reverse=True))
    words_as_written = {word.lower(): word for word in left}

    def link(found: re.Match[str]) -> str:
        word = words_as_written.pop(found[1].lower(), "")
        if not word:
            return found[0]
        note = html.escape(left.pop(word))
        return f'<a class="pk-term" href="{to_glossary}#term-{_term_id(word)}" data-note="{note}">{found[0]}</a>'

    return re.sub(rf"(?<![\w-])({pattern})(?:s|es)?(?![\w-])", link, text, flags=re.IGNORECASE)


def _term_id(word: str) -> str:
    """Return a word as Sphinx names its entry: letters keep their size."""
    return make_id(word) if word == word.lower() else re.sub(r"\W+", "-", word)


@cache
def words() -> Mapping[str, str]:
    """Return the glossary: from each word to what it means."""
    glossary = (paths.BOOK / "glossary.md").read_text(encoding="utf-8").partition("```{glossary}\n")[2]
    entries = _TERM.findall(glossary.partition("```")[0])
    return {word: " ".join(meaning.split()) for word, meaning in entries}


def _letters(chapter: str) -> str:
    """Return the meanings of a chapter's letters as a script of data for the page."""
    data = json.dumps(letters(chapter), ensure_ascii=False).replace("</", "<\\/")
    return f'<script type="application/json" id="pk-letters">{data}</script>'


@cache
def letters(chapter: str) -> dict[str, list[str]]:
    """Return what a chapter's letters mean, from the tables on notation; mathematics as MathJax takes it.

    Parameters
    ----------
    chapter : str
        The chapter's folder.
    """
    notation = (paths.BOOK / "notation.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", notation, re.MULTILINE))
    title = next(
        (t for t in sections if t.lower().replace(" ", "-").removeprefix("the-") == chapter.removeprefix("the-")), ""
    )
    meanings: dict[str, list[str]] = {}
    for symbols, meaning in _ROW.findall(sections.get(title, "")):
        for formula in re.findall(r"\$(.+?)\$", symbols):
            letter = _letter(formula)
            said = re.sub(r"\$(.+?)\$", r"\\(\1\\)", f"{symbols}: {meaning}")
            if letter and said not in meanings.setdefault(letter, []):
                meanings[letter].append(said)
    return meanings


def _letter(formula: str) -> str:
    """Return the letter that a symbol is made of, without its hats and indices; empty where it is none."""
    for name, letter in _LETTER.findall(formula):
        if letter:
            return str(letter)
        if name not in _DECORATED:
            return _greek(name)
    return ""


def _greek(name: str) -> str:
    """Return a Greek letter by its name in TeX."""
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {name.removeprefix('var').upper().replace('LAMBDA', 'LAMDA')}")
    except KeyError:
        return ""


def _annotate(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Put the notes into a page's body."""
    if context.get("body"):
        context["body"] = annotated(context["body"], page, context["pathto"]("book/glossary"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after the page's description was taken from its body."""
    app.connect("html-page-context", _annotate, priority=450)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
