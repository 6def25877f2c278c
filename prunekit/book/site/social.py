"""The picture that stands for a page where somebody shares its address: its title, what it found, and the book's name.

Pictures are drawn only for a site whose address is known (`html_baseurl`), since a link to a picture must be whole.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit.book.plotting import LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "_static/cards"  # on the site
WIDTH, HEIGHT = 1200, 630  # pixels, what those who show such pictures ask for
_MARGIN = 0.06
_COLOURS = 32  # of the PNG: enough for smooth letters, and a third of the bytes
# Points of the letters, and how many go on a line: the largest at which a title takes three lines, a finding five.
_TITLE = ((46, 26), (38, 31), (30, 40))
_FINDING = ((24, 62), (20, 74), (16, 92))


def write(site: Path, page: str, title: str, finding: str, book: str) -> str:
    """Draw a page's card into the site, and return its address below the site's.

    Parameters
    ----------
    site
        The folder of the site.
    page
        The document, such as ``chapters/heavy-tails/networks``.
    title, finding
        What the card says; the second may be empty.
    book
        The name of the book, which stands at the foot.
    """
    address = f"{FOLDER}/{page.replace('/', '-')}.png"
    file = site / address
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(card(title, finding, book))
    return address


def card(title: str, finding: str, book: str) -> bytes:
    """Return a card as PNG, the same bytes for the same words."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(drawn(title, finding, book))
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    stream = io.BytesIO()
    pixels.quantize(_COLOURS).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def drawn(title: str, finding: str, book: str) -> Figure:
    """Return a card as a figure: a strip in the book's colours, then the words from the top down."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor="white")
    stripes = LIGHT.series[:5]  # one for each theory
    for place, colour in enumerate(stripes):
        figure.add_artist(Rectangle((place / len(stripes), 0.965), 1 / len(stripes), 0.035, color=colour, linewidth=0))

    def put(y: float, words: str, points: float, **looks: Any) -> None:
        figure.text(_MARGIN, y, words, fontsize=points, va="top", linespacing=1.25, parse_math=False, **looks)

    points, lines = _broken(title, _TITLE, 3)
    put(0.87, "\n".join(lines), points, color=LIGHT.ink, fontweight="bold")
    below = 0.87 - len(lines) * points * 1.25 * 100 / 72 / HEIGHT - 0.05
    points, lines = _broken(finding, _FINDING, 5)
    put(below, "\n".join(lines), points, color=LIGHT.ink)
    put(0.095, book, 18, color=LIGHT.muted)
    return figure


def _broken(words: str, sizes: Sequence[tuple[float, int]], most: int) -> tuple[float, list[str]]:
    """Return words in lines, and the largest size of letters at which they are few enough; the smallest cuts them."""
    for points, across in sizes:
        lines = textwrap.wrap(words, across)
        if len(lines) <= most:
            return points, lines
    return sizes[-1][0], textwrap.wrap(words, sizes[-1][1], max_lines=most, placeholder=" …")
