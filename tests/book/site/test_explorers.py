"""The explorers in a real browser: their numbers against the library, and as a reader uses them by mouse and keyboard.

An explorer shows the Python lines that give its numbers. They are run here at random settings, so that what is compared
is what a reader is told to compare.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from scipy.special import ndtr

from prunekit.book import paths
from prunekit.book.site import explorers
from prunekit.stable.distribution import tail_probability
from tests.book.site.browsing import DESK, PHONE, a_browser

pytestmark = pytest.mark.browser

STATIC = paths.BOOK / "_static" / explorers.FOLDER
NAMES = list(explorers.STILLS)
SETTINGS = 200
CLOSE = 1e-6
SMALL = {
    "pruning-law": {"p": (20, 48)},
    "scaled-features": {"p": (20, 48), "inputs": (2, 16), "hidden": (2, 16), "classes": (2, 10)},
    "tails": {"d": (16, 300), "draws": (4, 8)},
    "cone": {"D": (16, 40), "draws": (8, 10)},
    "sensing": {"r": (1, 6)},
}  # settings that cost the library time, kept small
FEW = 0.15  # of the points of a figure
every_explorer = pytest.mark.parametrize("name", NAMES)

EVALUATE = """
([name, settings, detail]) => settings.map((given) => {
  const explorer = prunekit.explorers[name];
  try {
    const state = prunekit.checked(explorer, given), result = explorer.compute(state, detail, true);
    return {numbers: explorer.numbers(state, result), facts: explorer.facts(state, result),
            lines: explorer.python(state, result), words: explorer.summary(state, result, prunekit.plot.say)};
  } catch (error) {
    if (error instanceof prunekit.OutOfRange) return {refused: error.message};
    throw error;
  }
})
"""
CONTROLS = """
(name) => prunekit.explorers[name].controls.map((c) =>
  ({...c, shown: undefined, options: Object.keys(c.options ?? {})}))
"""
SHOWN = """
([name, settings]) => settings.map((given) =>
  prunekit.explorers[name].controls.filter((c) => !c.shown || c.shown(given)).map((c) => c.id))
"""

SETTLED = """
(before) => {
  const explorer = prunekit.open[0], words = document.querySelector(".pkx-summary").textContent;
  return !explorer.moving && explorer.told === explorer.given && ![before, ""].includes(words);
}
"""
UNLABELLED = """
() => [...document.querySelectorAll("input, select, textarea")].filter((e) => !e.labels.length && !e.ariaLabel).length
"""
SMALL_BUTTONS = """
() => [...document.querySelectorAll(".pk-explorer button")].filter((e) => e.clientHeight < 40).length
"""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with a_browser(chromium) as opened:
        yield opened


@pytest.fixture(scope="module")
def mathematics(browser: Any) -> Iterator[Any]:
    """Return a bare page with the mathematics of all explorers."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    for script in dict.fromkeys(script for name in NAMES for script in explorers.scripts(name)):
        page.add_script_tag(path=STATIC / script)
    yield page
    context.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Any) -> Iterator[Any]:
    """Return a function that opens an explorer from a file, at an address, in a window."""
    contexts = []

    def opening(name: str, address: str = "", size: dict[str, int] | None = None, **options: Any) -> Any:
        tags = "".join(f'<script src="{(STATIC / s).as_uri()}"></script>' for s in explorers.scripts(name))
        style = f'<link rel="stylesheet" href="{(STATIC / "explorers.css").as_uri()}">'
        place = f'<div class="pk-explorer" data-explorer="{name}"><div class="pkx-static">still</div></div>'
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{style}'
        file = tmp_path / "explorer.html"
        file.write_text(f'<!doctype html><html lang="en"><head>{head}</head><body>{place}{tags}</body></html>')
        context = browser.new_context(offline=True, viewport=size or DESK, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(file.as_uri() + address)
        if options.get("java_script_enabled", True):
            page.wait_for_function("() => document.querySelector('.pkx-summary')?.textContent")
        return page

    yield opening
    for context in contexts:
        assert [error for page in context.pages for error in page.errors] == []
        context.close()


def drawn(control: Any, rng: np.random.Generator, ends: tuple[float, float]) -> Any:
    """Draw a value of a control within its range; now and then an end of it."""
    low, high = ends
    if control["type"] == "choice":
        return str(rng.choice(control["options"]))
    if control["type"] == "list":
        positive = low > 0
        size = min(control["most"], control["least"] + 16)  # two lists of one explorer go together
        values = rng.lognormal(0, 1, size) if positive else rng.standard_normal(size)
        return [float(np.clip(np.round(v, 4), low, high)) for v in values]
    if rng.random() < 0.1:
        return float(rng.choice(ends)) if control["type"] == "number" else int(rng.choice(ends))
    least = control.get("least", low)
    if control.get("scale") == "log" and least > 0:
        value = math.exp(rng.uniform(math.log(least), math.log(high)))
    else:
        value = rng.uniform(low, high)
    return round(value) if control["type"] == "integer" else float(f"{value:.4g}")


def settings(page: Any, name: str, seed: int) -> list[dict[str, Any]]:
    """Return random settings of an explorer, within the ranges of its controls."""
    rng = np.random.default_rng(seed)
    controls, small = page.evaluate(CONTROLS, name), SMALL.get(name, {})
    return [
        {c["id"]: drawn(c, rng, small.get(c["id"], (c.get("min"), c.get("max")))) for c in controls}
        for _ in range(SETTINGS)
    ]


def same(ours: Any, theirs: Any) -> bool:
    """Tell whether two columns, or two numbers, are the same to a millionth; None only equals None.

    A share that is 0 but for rounding, as 1 - δ/D may be, has no digits.
    """
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return math.isfinite(ours) and math.isclose(ours, float(theirs), rel_tol=CLOSE, abs_tol=1e-14)


def run(lines: str) -> dict[str, Any]:
    """Run the Python lines that an explorer shows, and return the names that they make."""
    made: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(lines, "<explorer>", "exec"), made)
    return made


@every_explorer
def test_numbers_are_those_of_the_library(mathematics: Any, name: str) -> None:
    given = settings(mathematics, name, 16)
    answers = mathematics.evaluate(EVALUATE, [name, given, FEW])
    wrong, told = [], 0
    for setting, answer in zip(given, answers, strict=True):
        if "refused" in answer:
            continue
        told += 1
        assert "NaN" not in answer["words"] and "undefined" not in answer["words"] + answer["lines"], setting
        made = run(answer["lines"].partition("\n# ")[0])  # what is beside the numbers takes time
        for column, values in answer["numbers"].items():
            if not same(values, list(made["numbers"][column])):
                wrong.append((setting, column, values, made["numbers"][column]))
        for fact, value in answer["facts"].items():
            if not same(value, made["facts"][fact]):
                wrong.append((setting, fact, value, made["facts"][fact]))
    assert wrong == []
    assert told > 0.7 * SETTINGS, [answer["refused"] for answer in answers if "refused" in answer]


def test_weights_are_drawn_from_the_law(mathematics: Any) -> None:
    n, few = 20000, 200
    for alpha in (0.7, 1.2, 1.8):
        u = np.random.RandomState(7).random_sample((2, n))
        given = [alpha, list(np.pi * (u[0] - 0.5)), list(-np.log1p(-u[1]))]
        drawn = mathematics.evaluate("(given) => Array.from(prunekit.explorers.tails.stable(...given))", given)
        above = tail_probability(alpha, np.sort(np.abs(drawn))[::few])
        assert np.abs(above - (1 - np.arange(0, n, few) / n)).max() < 1.63 / n**0.5  # Kolmogorov, one in 100


def test_the_normal_law_and_the_uniform_numbers_are_those_of_scipy_and_numpy(mathematics: Any) -> None:
    z = np.concatenate([np.linspace(-38, 9, 471), np.linspace(-3, 3, 200)])
    ours = mathematics.evaluate("(z) => z.map(prunekit.numerics.ndtr)", z.tolist())
    np.testing.assert_allclose(ours, ndtr(z), rtol=1e-13, atol=1e-300)
    for seed in (0, 999):
        drawn = mathematics.evaluate(
            "(seed) => { const u = prunekit.numerics.uniforms(seed); return Array.from({length: 2000}, u); }", seed
        )
        assert drawn == np.random.RandomState(seed).random_sample(2000).tolist()


def plain_number(words: str) -> float:
    """Return a number that an explorer says in words, such as 1.5 or 2·10⁻³."""
    mantissa, _, power = words.partition("·10")
    return float(mantissa) * 10.0 ** int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)


def test_the_best_ridge_in_words_is_that_of_the_library(mathematics: Any) -> None:
    name, said = "pruning-law", re.compile(r"(dense|magnitude|Hessian) (none|\S+) \(risk (\S+)\)")
    given = [{"p": 40, "noise": 0}, *settings(mathematics, name, 19)[:7]]  # without noise no penalty is best
    answers = mathematics.evaluate(EVALUATE, [name, given, 1])
    kinds: set[bool] = set()
    for setting, answer in zip(given, answers, strict=True):
        if "refused" in answer:
            continue
        made = run(answer["lines"])
        fits, rules = made["fits"], {"dense": None, **{k: rule(made["s"]) for k, rule in made["rules"].items()}}
        told = said.findall(answer["words"].partition("The best penalty μ/n with all features: ")[2])
        assert [kind for kind, _, _ in told] == ["dense", "magnitude", "Hessian"], setting
        for kind, penalty, risk in told:
            best = fits.best(rules[kind])
            assert plain_number(risk) == pytest.approx(best.risk, rel=6e-4), (setting, kind)
            # Where the risk is flat many penalties are best: what is said costs no more than the library's.
            cost = fits.risk(0.0 if penalty == "none" else plain_number(penalty), rules[kind])
            assert cost <= best.risk * (1 + 1e-5), (setting, kind, penalty, best)
            kinds.add(penalty == "none")
    assert kinds == {True, False}


def test_what_is_out_of_sight_waits_until_the_settings_rest(opened: Any) -> None:
    page = opened("scaled-features", size=PHONE)
    page.wait_for_function("prunekit.open[0].unseen.size === 2")
    before, after, waiting = page.evaluate("""() => {
      const open = prunekit.open[0], drawn = () => [...open.figures.children].map((figure) => figure.innerHTML);
      const before = drawn();
      open.set({...open.given, kappa: 3}, true);
      open.update();
      const parts = Object.entries(Object.getOwnPropertyDescriptors(open.result));
      return [before, drawn(), parts.filter(([, part]) => part.get).map(([name]) => name).sort()];
    }""")
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True]
    assert waiting == ["at", "deaths", "here", "kept", "risks"]
    words = settled(page, summary(page))
    again = opened("scaled-features", page.evaluate("location.hash"), PHONE)
    assert summary(again) == words and table(again) == table(page)
    drawn = "() => [...document.querySelectorAll('.pkx-figure path.pkx-line')].map((line) => line.getAttribute('d'))"
    assert again.evaluate(drawn) == page.evaluate(drawn)


@every_explorer
def test_what_is_out_of_range_is_said_by_name(mathematics: Any, name: str) -> None:
    controls, rng = mathematics.evaluate(CONTROLS, name), np.random.default_rng(17)
    cases = []
    every = settings(mathematics, name, 18)
    for setting, shown in zip(every, mathematics.evaluate(SHOWN, [name, every]), strict=True):
        control = next(c for c in rng.permutation(controls) if c["id"] in shown)
        bad = ["nothing", "", None]
        if control["type"] in {"number", "integer"}:
            bad += [control["max"] * 1.01 + 1, control["min"] - 1, "1e400", *[2.5] * (control["type"] == "integer")]
        if control["type"] == "list":
            bad = [[], [control["max"] * 2] * control["least"], "1, 2, three, 4, 5", [1.0] * (control["most"] + 1)]
        value = bad[rng.integers(len(bad))]
        cases.append((control["label"], {**setting, control["id"]: "NaN" if value is None else value}))
    answers = mathematics.evaluate(EVALUATE, [name, [given for _, given in cases], FEW])
    for (label, given), answer in zip(cases, answers, strict=True):
        assert label in answer.get("refused", "nothing was said"), given
        assert "give" in answer["refused"]


def summary(page: Any) -> str:
    return str(page.locator(".pkx-summary").inner_text())


def settled(page: Any, before: str) -> str:
    """Wait until the words are those for the settings, and others than before, and return them."""
    page.wait_for_function(SETTLED, arg=before)
    return summary(page)


def table(page: Any) -> dict[str, list[float | None]]:
    """Return the columns of the CSV that the page offers."""
    link = page.locator(".pkx-actions a[download]").get_attribute("href")
    rows = list(csv.DictReader(io.StringIO(unquote(link.partition(",")[2]))))
    return {column: [float(row[column]) if row[column] else None for row in rows] for column in rows[0]}


@every_explorer
def test_by_keyboard_a_setting_moves_and_the_address_carries_it(opened: Any, name: str) -> None:
    page = opened(name)
    before, columns = summary(page), table(page)
    sliders = page.locator("input[type=range]")
    slider = next(s for s in sliders.all() if s.is_visible() and s.input_value() != s.get_attribute("max"))
    slider.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    after = settled(page, before)
    assert table(page) != columns
    address = page.evaluate("location.hash")
    assert address == page.locator(".pkx-actions a[href^='#']").get_attribute("href")
    again = opened(name, address)
    assert (summary(again), table(again)) == (after, table(page))
    theirs = run(page.locator("pre.pkx-python").text_content())["numbers"]
    for column, values in table(page).items():
        long = len(theirs[column])  # shorter columns end in empty cells
        assert same(values[:long], list(theirs[column])) and not any(values[long:]), column
    page.get_by_role("button", name="Show the Python lines").focus()
    page.keyboard.press("Enter")
    assert page.locator("pre.pkx-python").is_visible()
    page.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Space")
    assert settled(page, after) == before


@every_explorer
def test_presets_are_there_by_mouse_and_draw_something(opened: Any, name: str) -> None:
    page = opened(name)
    told = set()
    presets = page.locator(".pkx-presets button")
    for number, preset in enumerate(presets.all()):
        before = summary(page)
        preset.click()
        if number:  # the first is what the page begins with
            settled(page, before)
        assert preset.get_attribute("aria-pressed") == "true"
        assert not page.locator(".pkx-problem").is_visible()
        told.add(summary(page))
        paths_drawn = page.locator(".pkx-figure path.pkx-line")
        assert paths_drawn.count() > 1
        assert "NaN" not in page.locator(".pkx-live").inner_html()
    assert len(told) == presets.count() >= 3


@every_explorer
def test_a_number_out_of_range_is_said_and_marked(opened: Any, name: str) -> None:
    page = opened(name)
    box = page.locator("input[type=number]:visible").first
    label = page.evaluate("(input) => input.labels[0].textContent", box.element_handle())
    box.fill("-5")
    problem = page.get_by_role("alert")
    problem.wait_for()
    assert label in problem.inner_text() and "-5" in problem.inner_text()
    assert box.get_attribute("aria-invalid") == "true"
    assert summary(page) == "" and page.locator(".pkx-actions a[download]").get_attribute("href") is None
    page.get_by_role("button", name="Reset").click()
    settled(page, "")
    assert not problem.is_visible()


@every_explorer
def test_on_a_phone_by_touch_nothing_is_cut_off_and_all_is_labelled(opened: Any, name: str) -> None:
    page = opened(name, size=PHONE, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    before = summary(page)
    page.locator(".pkx-presets button").nth(1).tap()
    settled(page, before)
    assert page.evaluate(UNLABELLED) == 0
    assert page.evaluate(SMALL_BUTTONS) == 0
    page.emulate_media(media="print")
    assert not page.locator(".pkx-controls").is_visible() and not page.locator(".pkx-actions").is_visible()
    assert page.locator(".pkx-figure svg").first.is_visible() and page.locator(".pkx-summary").is_visible()


def test_without_scripts_a_still_figure_stands_there(opened: Any) -> None:
    page = opened(NAMES[0], java_script_enabled=False)
    assert page.locator(".pkx-static").is_visible() and page.locator("input").count() == 0


@every_explorer
def test_a_still_figure_has_words_and_numbers(name: str) -> None:
    drawing = explorers.STILLS[name]()
    assert len(drawing.caption) > 80 and len(drawing.alt) > 80 and "nan" not in drawing.caption
    assert len(drawing.numbers["y"]) > 20


def test_every_explorer_has_its_page() -> None:
    pages = {file.stem: file.read_text(encoding="utf-8") for file in (paths.BOOK / explorers.FOLDER).glob("*.md")}
    assert sorted(pages) == sorted(NAMES)
    assert all(f"<!-- explorer: {name} -->" in text for name, text in pages.items())
    with pytest.raises(ValueError, match="give one of"):
        explorers.page("<!-- explorer: nothing -->")
    shown = explorers.page(pages[NAMES[0]])
    assert shown.count("<img ") == 2 and all(f'/{script}"' in shown for script in explorers.scripts(NAMES[0]))
