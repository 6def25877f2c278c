"""The workflows of a public host: each step calls the Makefile, by targets and settings that are there."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

from prunekit.book import paths
from prunekit.book.scales import SCALES
from prunekit.book.site import online
from tests.test_readme import MAKEFILE, settings, targets

FOLDER = paths.ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yml"))}
ON = True  # YAML's own word for "on"
every_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    """Return the steps of all jobs."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def wrong(command: str) -> str:
    """Return what is wrong with a step's command, empty if it is a call of make that can be followed."""
    if len(command.strip().splitlines()) != 1:
        return "more than one line"
    make, *words = shlex.split(command)
    if make != "make" or not words:
        return "no call of make"
    for word in words:
        name, given, value = word.partition("=")
        if name not in (settings(MAKEFILE) if given else targets(MAKEFILE)):
            return f"no {name}"
        if name == "SCALE" and value not in SCALES:
            return f"no scale {value}"
    return ""


@every_workflow
def test_a_step_is_a_call_of_make_or_an_action_of_a_version(name):
    for step in steps(WORKFLOWS[name]):
        if "run" in step:
            assert wrong(step["run"]) == ""
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


@pytest.mark.parametrize(
    "command", ["make bok", "make book SIZE=smoke", "make book SCALE=tiny", "pytest", "make", "make lint\nmake test"]
)
def test_a_slip_in_a_step_is_noticed(command):
    assert wrong(command)


@every_workflow
def test_whoever_changes_nothing_may_change_nothing(name):
    """The token is the workflow's, and a pull request from anywhere must not be able to write by it."""
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "write" if name == "release" else "read"}
    assert "pull_request_target" not in workflow[ON]
    assert all("timeout-minutes" in job for key, job in workflow["jobs"].items() if key != "publish")


def commands(name: str, job: str) -> list[str]:
    return [step["run"] for step in WORKFLOWS[name]["jobs"][job]["steps"] if "run" in step]


def test_every_change_is_linted_and_tested_on_two_pythons():
    workflow = WORKFLOWS["test"]
    assert set(workflow[ON]) == {"push", "pull_request"}
    assert commands("test", "test") == ["make lint", "make test"]
    pythons = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.13"]
    promised = re.search(r'^requires-python = ">=([\d.]+)"$', (paths.ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert promised is not None
    assert promised[1] == pythons[0]


def test_a_pull_request_builds_a_small_book_and_main_the_whole_one():
    jobs = WORKFLOWS["book"]["jobs"]
    assert "pull_request" in jobs["smoke"]["if"]
    assert commands("book", "smoke") == ["make book SCALE=smoke"]
    assert "push" in jobs["laptop"]["if"]
    assert WORKFLOWS["book"][ON]["push"] == {"branches": ["main"]}
    assert commands("book", "laptop") == ["make book"]
    assert jobs["publish"]["needs"] == "laptop"
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}


def test_a_tag_makes_an_archive_with_checksums():
    assert WORKFLOWS["release"][ON] == {"push": {"tags": ["v*"]}}
    assert commands("release", "archive") == ["make release"]


def test_what_is_handed_on_is_what_make_built():
    built = {paths.HTML.relative_to(paths.ROOT).as_posix(), f"{paths.RELEASE.relative_to(paths.ROOT).as_posix()}/*"}
    built |= {online.FOLDER.relative_to(paths.ROOT).as_posix()}
    given = [step["with"] for name in WORKFLOWS for step in steps(WORKFLOWS[name]) if "with" in step]
    assert {words[key] for words in given for key in ("path", "files", "publish_dir") if key in words} == built
