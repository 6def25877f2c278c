"""The ledger, and verdicts that are computed and nowhere typed."""

import ast
import re

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient

from prunekit.book import paths
from prunekit.book.ledger import (
    DIFFERS,
    ERRATUM,
    NOT_ATTEMPTED,
    REDUCED,
    RELATIONS,
    REPRODUCED,
    VERDICTS,
    check,
    ledger,
    records,
    report,
    verdict,
    worst,
)
from prunekit.book.runs.notebooks import read
from prunekit.book.site.evidence import chapters

# Every figure, table and statement that the book undertakes to test, in the order of the scorecard.
CLAIMS = """
chang/theorem-1 chang/corollary-1 chang/lemma-1 chang/fig-2 chang/fig-3a chang/fig-3b chang/fig-3b-wins chang/fig-4
chang/fig-7 chang/section-3.4 chang/fig-1
li/lemma-3.1 li/equation-3.2 li/definition-3.2 li/fig-1a li/fig-1b li/fig-1c li/lemma-4.1 li/fig-2a li/fig-2b li/fig-2c
li/fig-3a li/fig-3b li/fig-3c li/fig-4 li/theorem-4.3 li/proposition-b.2 li/theorem-a.1
barsbey/theorem-1-global barsbey/theorem-1-layerwise barsbey/theorem-2 barsbey/theorem-3 barsbey/theorem-4
barsbey/heavier-compresses barsbey/estimator barsbey/linear-regression barsbey/fig-1 barsbey/fig-2 barsbey/fig-3
barsbey/fig-4 barsbey/fig-5 barsbey/fig-6 barsbey/fig-7
geometric/theorem-1 geometric/theorem-2 geometric/lemma-1 geometric/lemma-2 geometric/corollary-1 geometric/table-1
geometric/table-2 geometric/fig-3 geometric/table-3 geometric/appendix-b geometric/appendix-c.2 geometric/fig-4-imp
geometric/fig-4-random geometric/fig-4-l2 geometric/magnitude-flatness
sensing/exact-columns sensing/linear-rate sensing/unregularized sensing/figure sensing/phase
""".split()  # noqa: SIM905 (a list of 63 literals is no easier to read)


def record(measured=1.0, expected=1.0, tolerance=0.0, relation="equal", corrected=None, reduced=False):
    return locals()


# measured, expected, corrected, relation, reduced, and what follows at a tolerance of 0.5
TRUTH = [
    (1.0, 1.0, None, "equal", False, REPRODUCED),
    (1.5, 1.0, None, "equal", False, REPRODUCED),
    (0.5, 1.0, None, "equal", False, REPRODUCED),
    (1.5, 1.0, None, "equal", True, REDUCED),
    (1.51, 1.0, None, "equal", False, DIFFERS),
    (0.49, 1.0, None, "equal", False, DIFFERS),
    (0.49, 1.0, None, "equal", True, DIFFERS),
    (-9.0, 1.0, None, "at most", False, REPRODUCED),
    (1.5, 1.0, None, "at most", False, REPRODUCED),
    (1.5, 1.0, None, "at most", True, REDUCED),
    (1.51, 1.0, None, "at most", False, DIFFERS),
    (9.0, 1.0, None, "at least", False, REPRODUCED),
    (0.5, 1.0, None, "at least", False, REPRODUCED),
    (0.5, 1.0, None, "at least", True, REDUCED),
    (0.49, 1.0, None, "at least", False, DIFFERS),
    (3.0, 1.0, 3.0, "equal", False, ERRATUM),
    (3.5, 1.0, 3.0, "equal", True, ERRATUM),
    (3.51, 1.0, 3.0, "equal", False, DIFFERS),
    (1.5, 1.0, 3.0, "equal", False, REPRODUCED),  # the printed statement holds, so it is no erratum
    (1.5, 1.0, 1.2, "equal", True, REDUCED),
    (3.0, 1.0, 3.0, "at most", False, ERRATUM),
    (4.0, 1.0, 3.0, "at most", False, DIFFERS),
    (0.0, 1.0, -1.0, "at least", False, ERRATUM),
    (-2.0, 1.0, -1.0, "at least", False, DIFFERS),
    (2.0, 1.0, 0.0, "equal", False, DIFFERS),
    (0.0, 1.0, 0.0, "equal", False, ERRATUM),  # corrected to zero is corrected
]


@pytest.mark.parametrize(("measured", "expected", "corrected", "relation", "reduced", "verdict_"), TRUTH)
def test_a_verdict_follows_from_the_numbers(measured, expected, corrected, relation, reduced, verdict_):
    assert verdict(record(measured, expected, 0.5, relation, corrected, reduced)) == verdict_


numbers = st.floats(-1e6, 1e6)
sizes = st.floats(0, 1e6)
some_records = st.builds(
    record, numbers, numbers, sizes, st.sampled_from(list(RELATIONS)), st.none() | numbers, st.booleans()
)


@given(some_records, sizes)
def test_a_wider_tolerance_never_makes_a_verdict_worse(one, more):
    wider = one | {"tolerance": one["tolerance"] + more}
    if verdict(one) != DIFFERS:
        assert verdict(wider) != DIFFERS
    if verdict(one) in {REPRODUCED, REDUCED}:
        assert verdict(wider) == verdict(one)


@given(some_records)
def test_equal_is_at_most_and_at_least_at_once(one):
    passes = {relation: verdict(one | {"relation": relation, "corrected": None}) != DIFFERS for relation in RELATIONS}
    assert passes["equal"] == (passes["at most"] and passes["at least"])
    assert passes["at most"] or passes["at least"]


@given(st.lists(st.sampled_from(VERDICTS), min_size=1), st.lists(st.sampled_from(VERDICTS)))
def test_the_worst_of_verdicts_is_their_maximum(some, more):
    assert worst(some) in some
    assert all(VERDICTS.index(v) <= VERDICTS.index(worst(some)) for v in some)
    assert worst(some + more) == worst([worst(some), *more]) == worst(more + some)


def test_verdicts_from_best_to_worst():
    assert VERDICTS == (REPRODUCED, REDUCED, ERRATUM, DIFFERS)
    assert worst([]) == NOT_ATTEMPTED


GOOD = {"what": "a number", "measured": 1.0, "expected": 1.0, "tolerance": 0.1, "scale": "smoke"}


def test_an_unknown_claim_is_refused_and_near_ones_are_named():
    with pytest.raises(ValueError, match=r"'chang/fig-3c'.*near it:.*chang/fig-3[ab]"):
        check("chang/fig-3c", **GOOD)
    with pytest.raises(ValueError, match="not in the ledger"):
        check("", **GOOD)


@pytest.mark.parametrize("name", ["measured", "expected", "tolerance", "corrected"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float64("nan"), "1", True, 1j, [1.0]])
def test_check_refuses_what_is_no_finite_number(name, value):
    with pytest.raises(ValueError, match=f"{name} is"):
        check("chang/fig-3a", **(GOOD | {name: value}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tolerance": -1e-9}, "tolerance is -1e-09"),
        ({"relation": "about"}, "'equal', 'at most' or 'at least'"),
        ({"scale": "huge"}, "'smoke', 'laptop', 'paper'"),
        ({"measured": None}, "measured is None"),
    ],
)
def test_check_refuses_what_it_cannot_judge(change, words):
    with pytest.raises(ValueError, match=words):
        check("chang/fig-3a", **(GOOD | change))


def test_outside_a_notebook_check_prints_its_sentence(capsys):
    check("chang/fig-3a", **(GOOD | {"measured": np.float32(1.05), "data": "digits"}))
    assert capsys.readouterr().out == (
        "chang/fig-3a: reproduced. a number: measured 1.05, expected = 1 (tolerance 0.1; smoke scale, digits data)\n"
    )


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
        "    check('chang/fig-3a', what='gap < 1 & more', measured=np.float64(i), expected=0,\n"
        "          tolerance=.5, scale='smoke')",
        "report(risk=np.float32(.5), count=np.int64(3), won=np.bool_(True), rule='a<b')\n"
        "check('li/erratum-1', what='it', measured=2, expected=1, tolerance=0, corrected=2, relation='at least',\n"
        "      reduced=True, scale='laptop', data='digits')",
    )
    first = {
        "kind": "claim",
        "claim": "chang/fig-3a",
        "what": "gap < 1 & more",
        "measured": 0.0,
        "expected": 0.0,
        "tolerance": 0.5,
        "relation": "equal",
        "corrected": None,
        "reduced": False,
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
        "expected": 1.0,
        "tolerance": 0.0,
        "relation": "at least",
        "corrected": 2.0,
        "reduced": True,
        "scale": "laptop",
        "data": "digits",
        "verdict": REDUCED,
        "cell": 0,
    }
    assert len(records(found)) == 4
    shown = found.cells[1].outputs[1].data
    assert "gap &lt; 1 &amp; more" in shown["text/html"]
    assert f">{DIFFERS}<" in shown["text/html"]
    assert shown["text/plain"].startswith("chang/fig-3a: differs. gap < 1 & more: measured 1,")


def test_the_ledger_lists_what_the_book_undertakes_to_test():
    assert list(ledger().claims) == CLAIMS
    assert len(CLAIMS) == len(set(CLAIMS)) == 63


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
    """Return the calls of `check` and `show_checks` in a cell whose ids are not literal, or not in the ledger."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    bad = [c for c in calls if _name(c.func) == "check" and not _is_known(_claim_of(c))]
    bad += [c for c in calls if _name(c.func) == "show_checks" and not all(map(_is_known, c.args))]
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


def cells_of(kind):
    return [
        pytest.param(cell.source, id=f"{book.name}-{index}")
        for book in map(read, chapters())
        for index, cell in enumerate(book.node.cells)
        if cell.cell_type == kind
    ]


@pytest.mark.parametrize("source", cells_of("markdown"))
def test_no_prose_of_a_chapter_states_a_verdict(source):
    assert typed_in_prose(source) == []


@pytest.mark.parametrize("source", cells_of("code"))
def test_no_code_of_a_chapter_states_a_verdict_or_checks_an_unknown_claim(source):
    assert typed_in_code(source) == []
    assert unknown_claims(source) == []


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
        "found.show_checks('chang/fig-1', name)",
        "found.show_checks('chang/fig-33')",
    ],
)
def test_the_scan_of_code_finds_unknown_claims(call):
    assert unknown_claims(f"for name in 'ab':\n    {call}") == [call]


@pytest.mark.parametrize(
    "call",
    [
        "check('chang/fig-3a')",
        "check(f'chang/fig-{name}')",
        "check(claim='li/erratum-1')",
        "x.show_checks('chang/fig-1')",
    ],
)
def test_the_scan_of_code_accepts_claims_of_the_ledger(call):
    assert unknown_claims(call) == []
