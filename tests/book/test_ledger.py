"""The ledger, and verdicts that are computed and nowhere typed."""

import ast
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from scipy import stats

from prunekit.book import paths
from prunekit.book.ledger import Claim, check, ledger, records, report
from prunekit.book.runs.notebooks import read
from prunekit.book.settings import PaperSetting
from prunekit.book.site.evidence import chapters
from prunekit.book.verdicts import DIFFERS, NOT_ATTEMPTED, REPRODUCED, UNDECIDED, VERDICTS

# Every figure, table and statement that the book undertakes to test, in the order of the scorecard.
CLAIMS = """
chang/theorem-1 chang/corollary-1 chang/lemma-1 chang/fig-2 chang/fig-3a chang/fig-3b chang/fig-3b-wins chang/fig-4
chang/fig-7 chang/section-3.4 chang/fig-1 chang/lemma-7 chang/dense-risk chang/equation-13 chang/section-4
chang/section-6-cross-entropy chang/section-6-distillation
li/lemma-3.1 li/equation-3.2 li/definition-3.2 li/fig-1a li/fig-1b li/fig-1c li/lemma-4.1 li/fig-2a li/fig-2b
li/fig-2c li/fig-3a li/fig-3b li/fig-3c li/fig-4 li/theorem-4.3 li/proposition-b.2 li/theorem-a.1 li/definition-2.3
li/section-3.1 li/section-4 li/theorem-4.3-fig-1c li/lemma-a.2 li/theorem-e.1
barsbey/theorem-1-global barsbey/theorem-1-layerwise barsbey/theorem-2 barsbey/eigenvalue-law barsbey/theorem-3
barsbey/section-3.3 barsbey/theorem-4 barsbey/output-perturbation barsbey/uncompressed-bound
barsbey/heavier-compresses barsbey/estimator barsbey/linear-regression barsbey/fig-1 barsbey/fig-2 barsbey/fig-3
barsbey/fig-4 barsbey/fig-5 barsbey/fig-6 barsbey/global-pruning barsbey/node-pruning barsbey/averaged-iterates
barsbey/fig-7
geometric/theorem-1 geometric/theorem-2 geometric/theorem-3 geometric/definition-1 geometric/lemma-1 geometric/lemma-2
geometric/lemma-2-interval geometric/corollary-1 geometric/table-1 geometric/fig-1c geometric/fig-2 geometric/table-2
geometric/fig-3 geometric/table-3 geometric/appendix-b geometric/appendix-c.2 geometric/fig-4-imp
geometric/fig-4-random geometric/fig-4-l2 geometric/magnitude-flatness
sensing/exact-columns sensing/linear-rate sensing/unregularized sensing/figure sensing/generalizes sensing/phase
""".split()  # noqa: SIM905 (a list of literals is no easier to read)


WHY = "a tenth is what the figure resolves"
GOOD = {"what": "a number", "measured": 1.0, "expected": 1.0, "margin": 0.1, "because": WHY, "scale": "smoke"}


def test_an_unknown_claim_is_refused_and_near_ones_are_named():
    with pytest.raises(ValueError, match=r"'chang/fig-3c'.*near it:.*chang/fig-3[ab]"):
        check("chang/fig-3c", **GOOD)
    with pytest.raises(ValueError, match="not in the ledger"):
        check("", **GOOD)


@pytest.mark.parametrize("name", ["measured", "expected", "margin", "error", "corrected"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float64("nan"), "1", True, 1j, [1.0]])
def test_check_refuses_what_is_no_finite_number(name, value):
    with pytest.raises(ValueError, match=f"{name} is"):
        check("chang/corollary-1", **(GOOD | {name: value}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"margin": -1e-9}, "margin is -1e-09"),
        ({"error": -1e-9}, "error is -1e-09"),
        ({"margin": None}, "margin is None"),
        ({"because": " "}, "because is empty"),
        ({"repetitions": 1}, "repetitions is 1"),
        ({"relation": "at most", "within": (0, 1)}, "cannot fail"),
        ({"within": (1, 1)}, "nothing can vary"),
        ({"relation": "about"}, "'equal', 'at most' or 'at least'"),
        ({"scale": "huge"}, "'smoke', 'laptop', 'paper'"),
        ({"measured": None}, "measured is None"),
    ],
)
def test_check_refuses_what_it_cannot_judge(change, words):
    with pytest.raises(ValueError, match=words):
        check("chang/corollary-1", **(GOOD | change))


def said(capsys, claim="chang/corollary-1", **change):
    check(claim, **(GOOD | change))
    return capsys.readouterr().out.removesuffix("\n")


def test_outside_a_notebook_check_prints_its_sentence(capsys):
    assert said(capsys, measured=np.float32(1.05)) == (
        f"chang/corollary-1: reproduced. a number: measured 1.05, expected 1; 0.9 to 1.1 counts ({WHY})"
    )
    half = stats.t.ppf(1 - 0.01 / 64 / 2, 39) * 0.01
    assert said(capsys, error=0.01, repetitions=40, of="draws", relation="at most") == (
        f"chang/corollary-1: reproduced. a number: measured 1 ± {half:.2g} (40 draws), expected at most 1; "
        f"at most 1.1 counts ({WHY})"
    )
    assert said(capsys, margin=0.0, because="exact", measured=2.0, corrected=2.0) == (
        "chang/corollary-1: erratum. a number: measured 2, expected 1 (exact); by the corrected statement 2"
    )


def test_what_a_verdict_hangs_on_is_said(capsys):
    setting = PaperSetting(images=60_000, seeds=10).here(images=1_500, seeds=12)
    text = said(capsys, error=0.05, repetitions=40, of="draws", setting=setting)
    assert text.startswith("chang/corollary-1: undecided in reduced form. ")
    head, smaller, needed = text.split("; ")[1:]
    assert head.startswith("0.9 to 1.1 counts") and smaller == "1,500 of 60,000 images"
    assert re.fullmatch(r"\d+ draws would decide", needed) and int(needed.split()[0]) > 40
    text = said(capsys, measured=9.0, unstated="the learning rate")
    assert text.startswith("chang/corollary-1: undecided. ") and text.endswith(
        "; the paper does not state the learning rate"
    )


def test_one_run_tells_nothing_for_sure(capsys):
    text = said(capsys, error=None, of="seeds")
    assert text.startswith("chang/corollary-1: undecided. a number: measured 1 (one run, so its error is not known), ")
    assert text.endswith("; a second run would begin to tell")
    with pytest.raises(ValueError, match="repetitions is 5 although error is None"):
        said(capsys, error=None, repetitions=5)


def test_a_difference_is_explained_and_nothing_else(capsys):
    assert said(capsys, measured=2.0, explain="the units are other").endswith("; the units are other")
    assert "units" not in said(capsys, explain="the units are other")
    assert "units" not in said(capsys, measured=2.0, corrected=2.0, explain="the units are other")


def test_a_recorded_run_says_so_and_gives_its_scale(capsys):
    run = SimpleNamespace(run={"key": "abc"}, parameters={"scale": "paper"})
    assert said(capsys, recorded=run).startswith("chang/corollary-1: reproduced. recorded run: a number: measured 1, ")
    with pytest.raises(ValueError, match="'smoke', 'laptop', 'paper'"):
        said(capsys, recorded=SimpleNamespace(run={"key": "abc"}, parameters={"scale": "huge"}))


def test_a_statement_is_one_of_its_claims(capsys, monkeypatch):
    with pytest.raises(ValueError, match="statement is 'peak': chang/corollary-1 has a single statement: leave"):
        said(capsys, statement="peak")
    two = {"peak": "One.", "tail": "Two."}
    several = Claim("chang/corollary-1", "chang", "Corollary 1", "Two things.", statements=two)
    monkeypatch.setattr("prunekit.book.ledger.ledger", lambda: {"chang/corollary-1": several})
    assert said(capsys, statement="tail").startswith("chang/corollary-1: reproduced. ")
    for wrong in ("", "head"):
        with pytest.raises(ValueError, match=f"statement is {wrong!r}: chang/corollary-1 has 'peak', 'tail'"):
            said(capsys, statement=wrong)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan"), np.array(np.nan)])
def test_report_refuses_what_is_not_finite(value):
    with pytest.raises(ValueError, match="risk is"):
        report(risk=value)


@pytest.mark.parametrize("value", [None, [1.0], np.ones(2), {"a": 1}, 1j, b"a"])
def test_report_refuses_what_fits_no_cell_of_a_table(value):
    with pytest.raises(TypeError, match="risk is"):
        report(risk=value)


def executed(*sources):
    """Execute cells in a kernel and return the notebook as it is read back from a file."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return nbformat.reads(nbformat.writes(notebook), as_version=4)


def test_records_come_back_from_an_executed_notebook():
    found = executed(
        "import numpy as np\nfrom prunekit.book.ledger import check, report\n1 + 1",
        "for i in range(2):\n"
        "    check('chang/corollary-1', what='gap < 1 & more', measured=np.float64(i), expected=0,\n"
        "          margin=.5, because='half', scale='smoke')",
        "report(risk=np.float32(.5), count=np.int64(3), won=np.bool_(True), rule='a<b')\n"
        "check('li/erratum-1', what='it', measured=2, expected=3, margin=0, because='exact', corrected=2, error=.01,\n"
        "      repetitions=9, of='seeds', relation='at least', unstated='a rate', scale='laptop', data='digits')",
    )
    first = {
        "kind": "claim",
        "claim": "chang/corollary-1",
        "statement": "",
        "explain": "",
        "what": "gap < 1 & more",
        "measured": 0.0,
        "expected": 0.0,
        "margin": 0.5,
        "because": "half",
        "error": 0.0,
        "repetitions": None,
        "of": "repetitions",
        "smaller": [],
        "unstated": "",
        "relation": "equal",
        "corrected": None,
        "scale": "smoke",
        "data": "synthetic",
        "verdict": REPRODUCED,
        "cell": 1,
    }
    assert records(found)[:2] == [first, first | {"measured": 1.0, "verdict": DIFFERS}]
    assert records(found)[2] == {
        "kind": "report",
        "values": {"risk": 0.5, "count": 3, "won": True, "rule": "a<b"},
        "cell": 2,
    }
    assert records(found)[3] | {"what": "", "cell": 0} == first | {
        "claim": "li/erratum-1",
        "what": "",
        "measured": 2.0,
        "expected": 3.0,
        "margin": 0.0,
        "because": "exact",
        "error": 0.01,
        "repetitions": 9,
        "of": "seeds",
        "unstated": "a rate",
        "relation": "at least",
        "corrected": 2.0,
        "scale": "laptop",
        "data": "digits",
        "verdict": UNDECIDED,
        "cell": 0,
    }
    assert len(records(found)) == 4
    shown = found.cells[1].outputs[1].data
    assert "gap &lt; 1 &amp; more" in shown["text/html"]
    assert f">{DIFFERS}<" in shown["text/html"]
    assert shown["text/plain"].startswith("chang/corollary-1: differs. gap < 1 & more: measured 1, ")


def test_the_ledger_lists_what_the_book_undertakes_to_test():
    assert list(ledger().claims) == CLAIMS
    assert len(CLAIMS) == len(set(CLAIMS))


def test_every_entry_of_the_ledger_is_complete():
    book = ledger()
    for entry in [*book.claims.values(), *book.errata.values()]:
        assert entry.paper in book.papers
        assert entry.id.split("/")[0] == entry.paper
        assert entry.place.strip()
        assert len(entry.statement.split()) > 2
    assert {entry.kind for entry in book.claims.values()} == {"live", "heavy"}
    assert all(len(entry.right.split()) > 2 for entry in book.errata.values())
    assert not set(book.claims) & set(book.errata)


def raw_ledger():
    import yaml

    return yaml.safe_load(paths.ledger().read_text(encoding="utf-8"))


def test_ids_are_listed_once_and_errata_point_at_claims():
    raw = raw_ledger()
    listed = [entry["id"] for entry in raw["claims"] + raw["errata"]]
    assert len(listed) == len(set(listed))
    assert {e["claim"] for e in raw["errata"]} - {None} <= set(CLAIMS)
    assert not any("verdict" in entry for entry in raw["claims"] + raw["errata"])


def test_the_papers_are_in_the_bibliography():
    entries = re.findall(
        r"^@\w+\{([^,\s]+),", (paths.BOOK / "references.bib").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(entries) == len(set(entries))
    for paper in ledger().papers.values():
        assert paper["cite"] in entries
        assert all(paper[field].strip() for field in ("short", "title", "chapter"))


TYPED = re.compile(
    r"(\*\*|`|_)(reproduced( in reduced form)?|differs|not attempted|erratum)\.?(\*\*|`|_)"
    r"|\b(is|are|was|were|be|been|not|fully|well) reproduced\b"
    r"|\breproduced in reduced form\b"
    r"|\b(does|do|did) not reproduce\b|\bfails? to reproduce\b|\bwe reproduced?\b"
    r"|\breproduces (the|this|its|their) (claim|figure|table|paper|result|statement)",
    re.IGNORECASE,
)


def typed_in_prose(text):
    """Return the verdicts that prose states instead of leaving them to the badges."""
    return [match.group(0) for match in TYPED.finditer(" ".join(text.split()))]


def typed_in_code(source):
    """Return the string constants of a cell that are verdicts, or say one."""
    words = [n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [w for w in words if w.strip(" .:*`").lower() in {*VERDICTS, NOT_ATTEMPTED} or typed_in_prose(w)]


def unknown_claims(source):
    """Return the calls of `check` in a cell whose ids are not literal, or not in the ledger."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    bad = [c for c in calls if _name(c.func) == "check" and not _is_known(_claim_of(c))]
    return [ast.unparse(call) for call in bad]


def _name(function):
    return getattr(function, "id", None) or getattr(function, "attr", None)


def _claim_of(call):
    given = [k.value for k in call.keywords if k.arg == "claim"]
    return next(iter([*call.args, *given]), None)


def _is_known(argument):
    ids = [*ledger().claims, *ledger().errata]
    if isinstance(argument, ast.Constant):
        return argument.value in ids
    if not isinstance(argument, ast.JoinedStr) or not isinstance(argument.values[0], ast.Constant):
        return False
    pattern = "".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in argument.values)
    return any(re.fullmatch(pattern, i) for i in ids)


def cells_of(page, kind):
    """Return a chapter's cells of a kind by their number."""
    return {index: cell.source for index, cell in enumerate(read(page).node.cells) if cell.cell_type == kind}


every_chapter = pytest.mark.parametrize("page", chapters(), ids=lambda page: page.stem)


@every_chapter
def test_no_prose_of_a_chapter_states_a_verdict(page):
    assert {
        index: typed for index, source in cells_of(page, "markdown").items() if (typed := typed_in_prose(source))
    } == {}


@every_chapter
def test_no_code_of_a_chapter_states_a_verdict_or_checks_an_unknown_claim(page):
    cells = cells_of(page, "code")
    assert {index: typed for index, source in cells.items() if (typed := typed_in_code(source))} == {}
    assert {index: unknown for index, source in cells.items() if (unknown := unknown_claims(source))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "So the claim is **reproduced**.",
        "Verdict: `differs`",
        "The figure is\nreproduced up to noise.",
        "We reproduce Figure 3.",
        "This does not reproduce the paper's curve.",
        "Our run reproduces the figure.",
        "It was **Reproduced in reduced form.**",
    ],
)
def test_the_scan_of_prose_finds_typed_verdicts(text):
    assert typed_in_prose(text)


@pytest.mark.parametrize(
    "text",
    ["An erratum: the law of retraining", "The second curve differs from the first.", "Numbers can be repeated."],
)
def test_the_scan_of_prose_leaves_ordinary_words_alone(text):
    assert typed_in_prose(text) == []


def test_the_scan_of_code_finds_typed_verdicts():
    assert typed_in_code("show('Reproduced')") == ["Reproduced"]
    assert typed_in_code("caption = f'{x} is reproduced'") == [" is reproduced"]
    assert typed_in_code("v = 'not attempted' if a else 'differs'") == ["not attempted", "differs"]
    assert typed_in_code("check('chang/erratum-9', what='gap')  # differs") == []


@pytest.mark.parametrize(
    "call",
    [
        "check('chang/fig-33')",
        "claims.check(name)",
        "check('chang/' + name)",
        "check(f'{paper}/fig-1')",
        "check(f'chang/figure-{name}')",
        "check(claim='chang/nothing')",
        "check(what='nothing')",
    ],
)
def test_the_scan_of_code_finds_unknown_claims(call):
    assert unknown_claims(f"for name in 'ab':\n    {call}") == [call]


@pytest.mark.parametrize(
    "call",
    [
        "check('chang/corollary-1')",
        "check(f'chang/fig-{name}')",
        "check(claim='li/erratum-1')",
    ],
)
def test_the_scan_of_code_accepts_claims_of_the_ledger(call):
    assert unknown_claims(call) == []
