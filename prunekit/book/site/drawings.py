"""Drawings and their numbers as files of the site, once each, in place of data inside the pages, and told in words.

In a notebook a figure carries all that it needs: its drawing for light and for dark pages, and its numbers. On the site
that made pages heavy, and every drawing stood there twice. Here the two become one file whose colours are variables:
`name.svg` is drawn for light pages, `name.svg#dark` for dark ones. Its name after the hash makes it the target of its
own address, and a rule for targets changes the colours; so it needs no script, and works from a file.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

from prunekit.book.site.described import described, label

FOLDER = Path("book/_static/figures")  # in the stage; `_static/figures` on the site
DARK = "dark"

_PAIR = re.compile(
    r"(?:<style>\.pk-dark.*?</style>)?"
    r'(?P<open><figure class="pk-figure" id="figure-(?P<name>[^"]+)">)'
    r'<img class="pk-light" alt="(?P<alt>[^"]*)" src="data:image/svg\+xml;base64,(?P<light>[^"]+)">'
    r'<img class="pk-dark" alt="[^"]*" src="data:image/svg\+xml;base64,(?P<dark>[^"]+)">'
    r'(?P<caption>.*?<a class="pk-csv" download="[^"]*" href=")data:text/csv;charset=utf-8;base64,(?P<csv>[^"]*)"'
    r"(?P<close>.*?</figure>)",
    re.DOTALL,
)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}(?![0-9a-fA-F])")
_MADE_OF_STYLE = re.compile(r"(?<=[\"#(])[a-z][0-9a-f]{10}(?=[\"')])")  # matplotlib names what it reuses by a checksum
_PIXELS = 96 / 72  # of CSS, in a point


def lifted(markup: str, page: str, stage: Path) -> str:
    """Return HTML in which figures refer to files of the site, and write these files.

    Parameters
    ----------
    markup
        HTML with figures as `prunekit.book.plotting.markup` makes them; all else stays as it is.
    page
        The document that shows it, such as ``chapters/heavy-tails/networks``.
    stage
        The folder in which the site is staged.
    """
    return _PAIR.sub(lambda figure: _lift(figure, page, stage), markup)


def _lift(figure: re.Match[str], page: str, stage: Path) -> str:
    """Return one figure that refers to files, and write them."""
    name, inside = figure["name"], page.replace("/", "-")
    folder = stage / FOLDER / inside
    folder.mkdir(parents=True, exist_ok=True)
    light, dark = (base64.b64decode(figure[theme]).decode() for theme in ("light", "dark"))
    one = united(light, dark)
    files = {f"{name}.svg": one} if one else {f"{name}-light.svg": light, f"{name}-dark.svg": dark}
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    table = base64.b64decode(figure["csv"])
    (folder / f"{name}.csv").write_bytes(table)
    way = "../" * page.count("/") + f"_static/figures/{inside}"
    sources = [f"{name}.svg", f"{name}.svg#{DARK}"] if one else list(files)
    images = "".join(
        f'<img class="pk-{theme}" alt="{figure["alt"]}" aria-details="{label(name)}" src="{way}/{source}"'
        f'{_size(light)} loading="lazy">'
        for theme, source in zip(("light", "dark"), sources, strict=True)
    )
    whole = f'{figure["open"]}{images}{figure["caption"]}{way}/{name}.csv"{figure["close"]}'
    return whole + described(light, table.decode(), name)


def united(light: str, dark: str) -> str | None:
    """Return one drawing that is the first, or the second where its address ends in ``#dark``; None if they differ.

    They may differ in colours alone, and in the names that matplotlib makes of them.
    """
    if _bare(light) != _bare(dark):
        return None
    pairs = list(zip(_COLOUR.findall(light), _COLOUR.findall(dark), strict=True))
    names = {pair: f"--c{number}" for number, pair in enumerate(dict.fromkeys(pairs))}
    own, other = (";".join(f"{name}:{pair[theme]}" for pair, name in names.items()) for theme in (0, 1))
    rules = f"<style>:root{{{own}}}:root:target{{{other}}}</style>"
    order = iter(pairs)
    coloured = _COLOUR.sub(lambda _: f"var({names[next(order)]})", light)
    before, head, after = re.split(r"(<svg [^>]*>)", coloured, maxsplit=1)
    if " id=" in head:
        raise ValueError("light has an id of its own: leave it out, since the name of the dark drawing takes its place")
    return f'{before}<svg id="{DARK}"{head.removeprefix("<svg")}{rules}{after}'


def _bare(drawing: str) -> str:
    """Return a drawing without what depends on colours."""
    return _MADE_OF_STYLE.sub("", _COLOUR.sub("", drawing))


def _size(drawing: str) -> str:
    """Return the attributes that keep a drawing's place until it is loaded."""
    head = drawing[drawing.index("<svg") :]
    head = head[: head.index(">")]
    sizes = {key: re.search(rf'\b{key}="([\d.]+)pt"', head) for key in ("width", "height")}
    return "".join(f' {key}="{float(found[1]) * _PIXELS:.0f}"' for key, found in sizes.items() if found)
