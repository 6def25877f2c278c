"""The site's machine-readable evidence is an RO-Crate that its library reads, and says what the site shows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from rocrate.model.file import File
from rocrate.rocrate import ROCrate

from prunekit.book import recordings
from prunekit.book.site import crate
from prunekit.book.site.evidence import Evidence, collect


@pytest.fixture(scope="module")
def evidence(smoke_site: Path) -> Evidence:
    """Return what the runs say that the site's build made."""
    assert smoke_site.is_dir()
    return collect("smoke")


@pytest.fixture(scope="module")
def read(smoke_site: Path) -> ROCrate:
    """Return the crate as its library reads it."""
    return ROCrate(smoke_site)


@pytest.fixture(scope="module")
def graph(smoke_site: Path) -> dict[str, dict[str, Any]]:
    """Return the entities as they stand in the file, by their names."""
    entities = json.loads((smoke_site / crate.NAME).read_text(encoding="utf-8"))["@graph"]
    assert len({entity["@id"] for entity in entities}) == len(entities)
    return {entity["@id"]: entity for entity in entities}


def data(read: ROCrate) -> list[Any]:
    """Return the files of the site that the crate describes."""
    return [entity for entity in read.get_entities() if isinstance(entity, File) and entity.id != crate.NAME]


def references(value: Any) -> list[str]:
    """Return what an entity points at."""
    if isinstance(value, list):
        return [name for item in value for name in references(item)]
    if isinstance(value, dict):
        return [value["@id"]] if set(value) == {"@id"} else [n for v in value.values() for n in references(v)]
    return []


def test_its_library_reads_every_entity(read: ROCrate, graph: dict[str, dict[str, Any]]) -> None:
    assert {entity.id for entity in read.get_entities()} == set(graph)
    assert read.root_dataset["conformsTo"].id.startswith("https://w3id.org/ro/wfrun/process/")
    assert read.name and read.description and read.license and read.datePublished
    assert {part.id for part in read.root_dataset["hasPart"]} == {entity.id for entity in data(read)}


def test_nothing_points_at_what_is_not_there(graph: dict[str, dict[str, Any]]) -> None:
    named = {name for entity in graph.values() for value in entity.values() for name in references(value)}
    assert named - set(graph) == {"https://w3id.org/ro/crate/1.1"}  # the specification itself


def test_files_have_the_checksums_that_it_says(read: ROCrate, smoke_site: Path) -> None:
    listed = data(read)
    assert len(listed) > 29
    for entity in listed:
        content = (smoke_site / entity.id).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest(), entity.id
        assert entity["contentSize"] == str(len(content))


def test_each_run_is_an_action_with_its_parameters(graph: dict[str, dict[str, Any]], evidence: Evidence) -> None:
    for page in evidence.pages:
        run = page.run
        assert run is not None
        action = graph[f"#run-{run.key}"]
        given = {graph[ref["@id"]]["name"]: graph[ref["@id"]]["value"] for ref in action["object"]}
        assert {name: str(value) for name, value in run.record["parameters"].items()}.items() <= given.items()
        assert (action["startTime"], action["endTime"]) == (run.record["started"], run.record["finished"])
        assert action["result"] == [{"@id": f"{page.document}.html"}]
    kept = [name for name in graph if name.startswith("#recorded-")]
    assert len(kept) == len(recordings.available())


def test_each_tested_statement_is_a_review_with_its_verdict(
    graph: dict[str, dict[str, Any]], evidence: Evidence
) -> None:
    tested = [(row, s) for row in evidence.rows() for s in row["statements"] if s["records"]]
    reviews = [entity for entity in graph.values() if entity["@type"] == "Review"]
    assert [(r["name"]) for r in reviews] == [f"{row['id']}: {s['verdict']}" for row, s in tested]
    for review, (_, statement) in zip(reviews, tested, strict=True):
        assert graph[review["itemReviewed"]["@id"]]["text"] == " ".join(statement["words"].split())
        assert all(record["what"] in review["reviewBody"] for record in statement["records"])
