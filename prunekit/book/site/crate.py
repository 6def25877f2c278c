"""``ro-crate-metadata.json``: the site's runs, parameters, checksums and verdicts, for machines to read.

It follows RO-Crate 1.1 and the profile *Process Run Crate* 0.5: a page's run is an action, whose instrument is the
page's notebook, whose objects are parameters and data, and whose result is the page. A verdict is a review of a claim.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prunekit import __version__
from prunekit._system import files
from prunekit.book import badges, ledger, recordings
from prunekit.book.runs.store import Run
from prunekit.book.site.cards import title
from prunekit.book.site.evidence import Evidence, Page
from prunekit.book.site.scorecard import slug
from prunekit.book.site.words import without_paths

NAME = "ro-crate-metadata.json"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}]
_AUTHORS, _LIBRARY, _LICENSE = "#authors", "#prunekit", "https://spdx.org/licenses/MIT"
_TYPES = {".html": "text/html", ".ipynb": "application/x-ipynb+json", ".csv": "text/csv", ".json": "application/json"}

Entity = dict[str, Any]


def write(evidence: Evidence, site: Path) -> None:
    """Write the crate of a built site into it.

    Parameters
    ----------
    evidence
        The runs that the site shows.
    site
        The site's folder, with all its other files.
    """
    text = json.dumps(
        {"@context": _CONTEXT, "@graph": graph(evidence, site)}, indent=1, ensure_ascii=False, sort_keys=True
    )
    files.write(site / NAME, text + "\n")


def graph(evidence: Evidence, site: Path) -> list[Entity]:
    """Return the crate's entities."""
    shown = [(page, page.run) for page in evidence.pages if page.run]
    parts = [_page(page, site) for page, _ in shown] + [_notebook(page, site) for page, _ in shown]
    parts += [_file(path, site, f"The scorecard as {path.suffix[1:].upper()}") for path in _scorecards(site)]
    actions, details = [], []
    for page, run in shown:
        action, more = _run(page, run, site)
        actions.append(action)
        details += more
    kept = [_recorded(page, label) for page, label in recordings.available()]
    reviews = [entity for row in evidence.rows() if row["records"] for entity in _reviews(row)]
    finished = [run.record["finished"] for _, run in shown]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": {"@id": _PROFILE},
        "name": "The theory of neural-network pruning, made executable",
        "description": "Five papers on the pruning of neural networks, every claim tested by an executable notebook: "
        f"pages run at {evidence.scale} scale, with parameters, checksums and verdicts.",
        "datePublished": max(finished, default="2026-01-01T00:00:00+00:00"),
        "license": {"@id": _LICENSE},
        "author": {"@id": _AUTHORS},
        "hasPart": _ids(parts),
        "mentions": _ids([*actions, *kept, *(r for r in reviews if r["@type"] == "Review")]),
    }
    return [_descriptor(), root, *_fixed(), *parts, *actions, *details, *kept, *reviews]


def _descriptor() -> Entity:
    return {
        "@id": NAME,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }


def _fixed() -> list[Entity]:
    return [
        {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {"@id": _AUTHORS, "@type": "Organization", "name": "The prunekit authors"},
        {"@id": _LICENSE, "@type": "CreativeWork", "name": "MIT License", "identifier": "MIT"},
        {
            "@id": _LIBRARY,
            "@type": "SoftwareApplication",
            "name": "prunekit",
            "softwareVersion": __version__,
            "description": "The library whose functions the pages call and whose command runs them.",
        },
    ]


def _ids(entities: Iterable[Entity]) -> list[dict[str, str]]:
    return [{"@id": entity["@id"]} for entity in entities]


def _file(path: Path, site: Path, name: str, **more: Any) -> Entity:
    content = path.read_bytes()
    return {
        "@id": path.relative_to(site).as_posix(),
        "@type": "File",
        "name": name,
        "encodingFormat": _TYPES[path.suffix],
        "contentSize": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
    } | more


def _page(page: Page, site: Path) -> Entity:
    return _file(site / f"{page.document}.html", site, title(page))


def _notebook_file(page: Page, site: Path) -> Path:
    return next(site.glob(f"_downloads/*/{page.name.replace('/', '-')}.ipynb"))


def _notebook(page: Page, site: Path) -> Entity:
    kinds = {"@type": ["File", "SoftwareSourceCode"], "programmingLanguage": "Python"}
    return _file(_notebook_file(page, site), site, f"Notebook of the page {title(page)!r}", **kinds)


def _scorecards(site: Path) -> list[Path]:
    return [path for suffix in ("csv", "json") for path in sorted(site.glob(f"_downloads/*/scorecard.{suffix}"))]


def _run(page: Page, run: Run, site: Path) -> tuple[Entity, list[Entity]]:
    """Return a run as an action, and the entities of its parameters and data."""
    record = run.record
    inputs = [
        {"@id": f"#{run.key}-{name}", "@type": "PropertyValue", "name": name, "value": str(value)}
        for name, value in record["parameters"].items()
    ]
    inputs += [
        {"@id": f"#{run.key}-data-{name}", "@type": "PropertyValue", "name": name, "value": f"sha256 {digest}"}
        for name, digest in record["data"].items()
    ]
    action = _action(record, f"Run of the page {title(page)!r}") | {
        "instrument": {"@id": _notebook_file(page, site).relative_to(site).as_posix()},
        "object": _ids(inputs),
        "result": [{"@id": f"{page.document}.html"}],
    }
    if not run.finished:
        action |= {"actionStatus": "http://schema.org/FailedActionStatus", "error": without_paths(run.error)}
    return action, inputs


def _action(record: Mapping[str, Any], name: str) -> Entity:
    """Return what a run's record says of when, where and by what it was run."""
    device, versions = record["device"], record["versions"]
    return {
        "@id": f"#run-{record['key']}",
        "@type": "CreateAction",
        "name": name,
        "description": f"On {device['kind']} {device['name']}, {device['threads']} of {device['cores']} cores; "
        f"commit {record['commit'] or 'unknown'}; "
        + ", ".join(f"{package} {version}" for package, version in versions.items()),
        "startTime": record["started"],
        "endTime": record["finished"],
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "agent": {"@id": _AUTHORS},
        "instrument": {"@id": _LIBRARY},
        "identifier": record["key"],
    }


def _recorded(page: str, label: str) -> Entity:
    """Return a recorded run, which comes with the library and not with the site."""
    run = recordings.recording(page, label).run
    parameters = ", ".join(f"{name} = {value!r}" for name, value in run["parameters"].items())
    action = _action(run, f"Recorded run {label!r} of the page {page}")
    return action | {"@id": f"#recorded-{slug(page)}-{label}", "description": f"{action['description']}; {parameters}"}


def _reviews(row: Mapping[str, Any]) -> list[Entity]:
    """Return a claim or an erratum with its statements, and what each came to."""
    pages = "book/errata.html" if row["kind"] == "erratum" else "book/scorecard.html"
    entities: list[Entity] = []
    for statement in row["statements"]:
        if not statement["records"]:
            continue
        name = slug(row["id"]) + (f"-{statement['name']}" if statement["name"] else "")
        paper = ledger.ledger().papers[row["paper"]]
        claim = {
            "@id": f"#claim-{name}",
            "@type": "Claim",
            "name": f"{paper['short']}, {row['place']}",
            "text": " ".join(statement["words"].split()),
        }
        review = {
            "@id": f"#verdict-{name}",
            "@type": "Review",
            "name": f"{row['id']}: {statement['verdict']}",
            "itemReviewed": {"@id": claim["@id"]},
            "reviewBody": " ".join(f"{badges.told(record)}." for record in statement["records"]),
            "author": {"@id": _AUTHORS},
            "url": f"{pages}#{slug(row['id'])}",
        }
        entities += [claim, review]
    return entities
