"""The book as Sphinx will read it: today's prose with the outputs of the runs, in a fresh folder.

Editing a sentence therefore executes nothing: the key of a run covers code, not prose, and the outputs are put
into the prose as it is now.
"""

from __future__ import annotations

import copy
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunekit.book import badges, paths
from prunekit.book.runs import tags
from prunekit.book.runs.store import Run
from prunekit.book.site import (
    architecture,
    cards,
    drawings,
    errata,
    error_bars,
    evidenced,
    explorers,
    folding,
    laws,
    rooms,
    scorecard,
    start,
)
from prunekit.book.site.evidence import Evidence, Page
from prunekit.book.site.words import without_paths


def stage(evidence: Evidence, folder: Path, *, whole: bool = True) -> None:
    """Write the book into `folder`, which must not exist.

    Parameters
    ----------
    evidence
        The pages to show, each with its run, finished or failed; one without a run says that it is being computed.
    folder
        Where to write.
    whole
        Whether these are all the book's pages; if not, the others are left out of the table of contents.
    """
    shutil.copytree(
        paths.BOOK, folder / "book", ignore=shutil.ignore_patterns("claims.yml", "laws.yml", "*.json", "__pycache__")
    )
    shutil.copy(paths.CONFIG, folder)
    _write_toc(folder, None if whole else [page.document for page in evidence.pages], rooms.write(folder))
    (folder / "downloads").mkdir()
    there, known = {page.name for page in evidence.pages}, laws.read()
    for page in evidence.pages:
        shown = compose(page, page.run) if page.run else _unexecuted(page)
        if elsewhere := laws.section(page.name, there, known):
            shown.cells.insert(-1 if page.run else len(shown.cells), _markdown(elsewhere))
        _lift_drawings(shown, page.document, folder)
        _write(folder / f"{page.document}.ipynb", shown)
        _write(folder / "downloads" / f"{page.name.replace('/', '-')}.ipynb", page.notebook.node)
    _write_results(evidence, folder / "book")
    _fill_prose(evidence, folder)
    _write_kept(folder)


def _write_results(evidence: Evidence, book: Path) -> None:
    """Write the pages of results, and the scorecard as files."""
    results = {
        "scorecard.md": scorecard.page,
        "scorecard.csv": scorecard.table,
        "scorecard.json": scorecard.data,
        "errata.md": errata.page,
    }
    for name, made in results.items():
        (book / name).write_text(made(evidence), encoding="utf-8")


def _fill_prose(evidence: Evidence, folder: Path) -> None:
    """Put what the pages found into the prose that names it."""
    for file in (folder / "book").glob("*.md"):
        prose = file.read_text(encoding="utf-8")
        if evidenced.named(prose):
            file.write_text(evidenced.filled(prose, evidence.rows()), encoding="utf-8")
        elif (opened := start.filled(prose, evidence)) != prose:
            file.write_text(drawings.lifted(opened, f"book/{file.stem}", folder), encoding="utf-8")


def _write_kept(folder: Path) -> None:
    """Write the pages whose drawings are made here, and kept from one build to the next."""
    (paths.BUILD / explorers.FOLDER).mkdir(parents=True, exist_ok=True)
    pages = {"book/error-bars": error_bars.kept_page, "book/architecture": architecture.kept_page}
    live = (folder / "book" / explorers.FOLDER).glob("*.md")
    pages |= {f"book/{explorers.FOLDER}/{file.stem}": explorers.kept_page for file in live}
    for document, kept_page in pages.items():
        file, kept = folder / f"{document}.md", paths.BUILD / f"{document.removeprefix('book/')}.md"
        shown = kept_page(file.read_text(encoding="utf-8"), kept)
        file.write_text(drawings.lifted(shown, document, folder), encoding="utf-8")


def _lift_drawings(node: Any, document: str, folder: Path) -> None:
    """Put the drawings of a page's outputs into files, in place."""
    for cell in node.cells:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output["data"]["text/html"] = drawings.lifted(output["data"]["text/html"], document, folder)


def _write(path: Path, node: Any) -> None:
    import nbformat

    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(node, path)


def _write_toc(folder: Path, only: Sequence[str] | None, reference: Sequence[str]) -> None:
    """Write the table of contents with the pages of the API reference, and of the chapters those in `only`."""
    import yaml

    toc = yaml.safe_load(paths.TOC.read_text(encoding="utf-8"))
    for chapter in (chapter for part in toc["parts"] for chapter in part["chapters"]):
        if chapter["file"] == rooms.INDEX and reference:
            chapter["sections"] = [{"file": name} for name in reference]
    if only is not None:
        for part in toc["parts"]:
            part["chapters"] = [
                c for c in part["chapters"] if not c["file"].startswith("chapters/") or c["file"] in only
            ]
        toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    (folder / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")


def compose(page: Page, run: Run) -> Any:
    """Return the page as a notebook: today's prose, the run's outputs, and the cards about both."""
    node = copy.deepcopy(page.notebook.node)
    executed = [(i, c) for i, c in enumerate(run.notebook().cells) if c.cell_type == "code"]
    injected = [c for _, c in executed if tags.has(c, tags.INJECTED)]
    executed = [(i, c) for i, c in executed if not tags.has(c, tags.INJECTED)]
    cells: list[Any] = []
    code = 0
    for cell in node.cells:
        if cell.cell_type == "code":
            if code < len(executed):  # a run that died early has fewer
                index, done = executed[code]
                cell["outputs"] = [_without_paths(output) for output in done.outputs]
                cell["execution_count"] = done.execution_count
                cells += _targets(page, index)
            cells.append(cell)
            if tags.has(cell, tags.PARAMETERS):
                cells += [_clean(c) for c in injected]
            code += 1
        else:
            cells.append(cell)
    folding.fold(cells)
    node.cells = _with_cards(page, run, *_glanced(page, cells))
    node.metadata = {"kernelspec": node.metadata["kernelspec"]} | _looks(node.metadata)
    return node


def _unexecuted(page: Page) -> Any:
    """Return the page without outputs, under a card that says why."""
    node = copy.deepcopy(page.notebook.node)
    node.cells = [_under_title(node.cells[0], cards.waiting()), *node.cells[1:]]
    node.metadata = {"kernelspec": node.metadata["kernelspec"], **_looks(node.metadata)}
    return node


def _looks(metadata: Any) -> dict[str, Any]:
    """Return what a page says to MyST-NB about its looks; the run has followed what it says about execution."""
    kept = {k: v for k, v in metadata.get("mystnb", {}).items() if not k.startswith("execution_")}
    return {"mystnb": kept} if kept else {}


def _without_paths(output: Any) -> Any:
    """Return a cell's output with this machine's folders cut out of tracebacks and warnings."""
    if output.output_type == "error":
        output.evalue, output.traceback = without_paths(output.evalue), [without_paths(t) for t in output.traceback]
    elif output.output_type == "stream" and output.name == "stderr":
        output.text = without_paths(output.text)
    return output


def _targets(page: Page, index: int) -> list[Any]:
    """Return the anchors to put before a code cell, one for each claim that the run's cell `index` checks."""
    labels = [f"({record['anchor']})=" for record in page.records if record["cell"] == index]
    return [_markdown("\n".join(labels))] if labels else []


def _clean(cell: Any) -> Any:
    cell.metadata = {"tags": [tags.INJECTED]}
    return cell


def _glanced(page: Page, cells: list[Any]) -> tuple[list[Any], Any | None]:
    """Return the cells, and what one of them shows at a glance as a cell of its own, without code; None if none does.

    A reader sees the sentences and the figure of that cell first. In its place a note says where they went.
    """
    for number, cell in enumerate(cells):
        outputs = cell.get("outputs", [])
        said = [o for o in outputs if o.get("metadata", {}).get(badges.METADATA, {}).get("kind") == "glance"]
        if said:
            first = copy.deepcopy(cell)
            first.outputs = said + [o for o in outputs if o not in said]
            first.metadata = {"tags": ["remove-input"]}
            first.id = f"{cell.id[:50]}-glance"
            cell["outputs"] = []
            note = _markdown(f"This is the figure {{ref}}`at the top of the page <{_glance_label(page)}>`.")
            return [*cells[: number + 1], note, *cells[number + 1 :]], first
    return cells, None


def _glance_label(page: Page) -> str:
    return "glance-" + page.name.replace("/", "-")


def _with_cards(page: Page, run: Run, cells: list[Any], glance: Any | None) -> list[Any]:
    """Put what the page found and the head card under the title, and the running instructions at the end."""
    card = cards.head(page, run) if run.finished else cards.failure(run)
    tail = _markdown(cards.tail(page, run))
    if glance is None:
        return [_under_title(cells[0], card), *cells[1:], tail]
    title, _, rest = cells[0].source.partition("\n")
    head = _markdown(f"{title}\n\n({_glance_label(page)})=\n## At a glance")
    return [head, glance, _markdown(f"{card}\n{rest}"), *cells[1:], tail]


def _under_title(cell: Any, card: str) -> Any:
    title, _, rest = cell.source.partition("\n")
    first = copy.deepcopy(cell)
    first.source = f"{title}\n\n{card}\n{rest}"
    return first


def _markdown(source: str) -> Any:
    import nbformat

    return nbformat.v4.new_markdown_cell(source, id=f"pk-{hashlib.sha256(source.encode()).hexdigest()[:12]}")
