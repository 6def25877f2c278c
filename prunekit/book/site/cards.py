"""What every page says about itself: paper, claims, how it was run, how to run it again and how to cite it."""

from __future__ import annotations

from prunekit import __version__
from prunekit.book import ledger
from prunekit.book.runs.store import Run
from prunekit.book.site.evidence import Page
from prunekit.book.site.words import duration, memory, moment, plain, without_paths
from prunekit.book.verdicts import worst

CODE, VERBATIM = "`` {} ``", ("parameters", "run", "commit")  # a lone backtick inside does no harm
SYNTHETIC = "drawn by the page itself from its seed"


def head(page: Page, run: Run) -> str:
    """Return the card under the title: paper, claims with their verdicts, when and where it was run."""
    papers, named = ledger.ledger().papers, page.notebook.settings["paper"]
    cited = ",".join(paper["cite"] for key, paper in papers.items() if named in (key, "all"))
    lines = [
        "```{admonition} About this page",
        ":class: pk-card",
        f"**{'Papers' if named == 'all' else 'Paper'}** {{cite:t}}`{cited}`",
        "",
        f"**Claims tested here** {_verdicts(page) or 'none'}",
        "",
        f"**Run** at {run.record['parameters'].get('scale', 'its only')} scale, {moment(run.record['finished'])}, "
        f"in {duration(run.record['wall_time_s'])} on {plain(run.record['device']['name'])}. "
        f"{{ref}}`Run it yourself <{label(page)}>`",
        "```",
    ]
    return "\n".join(lines)


def label(page: Page) -> str:
    """Return the label of the page's section on running it."""
    return "run-" + page.name.replace("/", "-")


def _verdicts(page: Page) -> str:
    by_claim: dict[str, list[str]] = {}
    for record in page.records:
        by_claim.setdefault(record["claim"], []).append(record["verdict"])
    return ", ".join(f"{{ref}}`{claim} <{_first(page, claim)}>` ({worst(given)})" for claim, given in by_claim.items())


def _first(page: Page, claim: str) -> str:
    return next(r["anchor"] for r in page.records if r["claim"] == claim)


def failure(run: Run) -> str:
    """Return the box that tells a reader that this page failed."""
    return "\n".join(
        [
            "```{error}",
            "**This page failed when it was run.** What follows is as far as it came; "
            "its claims count as not attempted, but for what recorded runs say of them.",
            "",
            plain(without_paths(run.error)),
            "```",
        ]
    )


def waiting() -> str:
    """Return the box that tells a reader that this page has not been executed yet."""
    return "\n".join(
        [
            "```{warning}",
            "**This page is being computed.** Its code has not run yet, so it shows no figure and judges no claim. "
            "It is shown whole when the build has ended: load it again then.",
            "```",
        ]
    )


def tail(page: Page, run: Run) -> str:
    """Return the section on running, sweeping, citing and downloading the page."""
    source = f"chapters/{page.name}.md"
    swept = [n for n, v in page.notebook.defaults.items() if isinstance(v, (int, float)) and not isinstance(v, bool)]
    grid = " ".join(_axis(n, page.notebook.defaults[n]) for n in swept[:2])
    return "\n".join(
        [
            f"({label(page)})=",
            "## Run it yourself",
            "",
            "Once, at the size of the paper, and over a grid (one table, `results.csv`, at the end; repeat the command "
            "to resume it):",
            "",
            "```bash",
            f"prunekit run {source} -p scale=paper",
            f"prunekit run {source} {grid} --workers 2" if grid else f"prunekit run {source} --workers 2",
            "```",
            "",
            f"{{download}}`The notebook of this page </downloads/{page.name.replace('/', '-')}.ipynb>` runs wherever "
            "`prunekit` is installed (`pip install .` in a clone of the book), in Jupyter or by `prunekit run`.",
            "",
            "Parameters and how this page was run:",
            "",
            *_facts(page, run),
            "",
            "To cite this page:",
            "",
            "```bibtex",
            f"@incollection{{prunekit-{page.name.replace('/', '-')},",
            f"  title     = {{{title(page)}}},",
            "  author    = {{The prunekit authors}},",
            "  booktitle = {The theory of neural-network pruning, made executable},",
            f"  year      = {{{run.record['finished'][:4]}}},",
            f"  note      = {{Version {__version__}, run {run.key}}},",
            "}",
            "```",
        ]
    )


def _axis(name: str, default: float) -> str:
    values = [default, default + 1, default + 2] if isinstance(default, int) else [default, 2 * default]
    return f"--grid {name}={','.join(str(v) for v in values)}"


def title(page: Page) -> str:
    """Return the page's title: its first heading."""
    for cell in page.notebook.node.cells:
        for line in cell.source.splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return page.name


def _facts(page: Page, run: Run) -> list[str]:
    record = run.record
    device = record["device"]
    data = ", ".join(f"{name} ({digest[:12]})" for name, digest in record["data"].items()) or SYNTHETIC
    rows = {
        "parameters": ", ".join(f"{k} = {v!r}" for k, v in record["parameters"].items()),
        "run": record["key"],
        "commit": record["commit"] or without_paths(record.get("no_commit", "not in a checkout")),
        "started, ended": f"{moment(record['started'])}, {moment(record['finished'])}",
        "wall time, peak memory": f"{duration(record['wall_time_s'])}, {memory(record['peak_memory_bytes'])}",
        "device": f"{device['kind']}: {device['name']}, {device['threads']} of {device['cores']} cores, "
        f"{device['system']}",
        "data": data,
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    table = ["```{list-table}", ":class: pk-facts", ":widths: 20 80", ""]
    for name, value in rows.items():
        table += [f"* - {name}", f"  - {CODE.format(value) if name in VERBATIM else plain(str(value))}"]
    return [*table, "```"]
