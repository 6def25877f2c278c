"""What README, the page on running and the continuous integration tell people to type exists."""

from __future__ import annotations

import json
import re
import shlex
import tomllib

import click
import pytest
import yaml

import prunekit
from prunekit.book import paths
from prunekit.book.runs.notebooks import Refused
from tests.benchmarks import readme, road
from tests.book.site.commands import command_lines, understand

TEXTS = {name: (paths.ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "book/how-to-run.md")}
MAKEFILE = (paths.ROOT / "Makefile").read_text(encoding="utf-8")
CHANGELOG = (paths.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
CI = (paths.ROOT / ".ci" / "run").read_text(encoding="utf-8")
every_text = pytest.mark.parametrize("name", TEXTS)


def code(markdown: str) -> list[str]:
    """Return the lines of all code blocks and the inline code of a text."""
    blocks = re.findall(r"^```[\w-]*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL))
    return [*"\n".join(blocks).splitlines(), *inline]


def made(markdown: str) -> list[list[str]]:
    """Return the arguments of every ``make …`` in a text's code."""
    lines = [shlex.split(line, comments=True) for line in code(markdown) if line.startswith("make ")]
    return [words[1:] for words in lines]


def targets(makefile: str) -> set[str]:
    """Return the targets of a Makefile."""
    return {name for line in re.findall(r"^([\w][\w -]*):(?!=)", makefile, re.MULTILINE) for name in line.split()}


def settings(makefile: str) -> set[str]:
    """Return the variables of a Makefile that a caller may set."""
    return set(re.findall(r"^(\w+) \?=", makefile, re.MULTILINE))


def not_in_the_makefile(markdown: str) -> list[str]:
    """Return the targets and settings that a text names and the Makefile lacks."""
    words = [word for arguments in made(markdown) for word in arguments]
    known = targets(MAKEFILE) | {f"{name}=" for name in settings(MAKEFILE)}
    return [word for word in words if re.match(r"\w+=|[\w-]+", word).group(0) not in known]


def test_readme_builds_the_book_and_runs_the_tests_by_one_command_each():
    commands = [" ".join(arguments) for arguments in made(TEXTS["README.md"])]
    assert "book" in commands
    assert "test" in commands


@every_text
def test_what_is_to_be_made_can_be_made(name):
    assert made(TEXTS[name])
    assert not_in_the_makefile(TEXTS[name]) == []


def test_every_target_is_declared_to_be_no_file():
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE).group(1).split()
    assert set(phony) == targets(MAKEFILE)


def test_a_target_that_is_not_there_is_noticed():
    assert not_in_the_makefile(
        "```bash\nmake book SCALE=smoke\nmake bok SIZE=1  # make cake\n```\nand `make tset`"
    ) == [
        "bok",
        "SIZE=1",
        "tset",
    ]


def test_continuous_integration_runs_what_readme_calls_the_tests():
    makes = [line.strip() for line in CI.splitlines() if re.search(r"\bmake\b", line) and not line.startswith("#")]
    assert makes == ["make lint", "make test"]
    assert CI.rstrip().splitlines()[-1] == "make test"
    assert "export CI=true" in CI  # a missing browser fails there, and is skipped elsewhere


@every_text
def test_every_command_line_is_understood(name):
    commands = list(command_lines(TEXTS[name]))
    assert commands
    for arguments in commands:
        assert understand(arguments)


@pytest.mark.parametrize(
    "line", ["prunekit biuld", "prunekit build --size smoke", "prunekit build --scale huge", "prunekit runs fly"]
)
def test_a_command_line_with_a_slip_is_noticed(line):
    [arguments] = command_lines(f"```bash\n{line}\n```\n")
    with pytest.raises((Refused, click.ClickException)):
        understand(arguments)


@pytest.mark.parametrize("text", ["`prunekit claims --json`", "```bash\nprunekit \\\n  claims --json  # all\n```\n"])
def test_command_lines_are_found_wherever_they_stand(text):
    assert list(command_lines(text)) == [["claims", "--json"]]


def test_the_files_that_readme_shows_or_links_to_exist():
    links = re.findall(r'(?:src|srcset|href)="([^"]+)"|\]\(([^)\s]+)\)', TEXTS["README.md"])
    local = [a or b for a, b in links if not re.match(r"https?:|#", a or b)]
    assert [link for link in local if not (paths.ROOT / link).exists()] == []


def test_the_python_of_readme_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", TEXTS["README.md"], re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("path", readme.SECTIONS, ids=lambda path: path.name)
def test_the_measured_numbers_are_those_that_were_kept(path):
    assert readme.current(path) == readme.SECTIONS[path]()


def test_readme_has_the_few_times_that_a_newcomer_asks_for_and_the_book_has_all():
    assert 4 <= readme.short().count("\n|") < 12
    bench = json.loads(readme.RESULTS.read_text(encoding="utf-8"))["results"]
    rows = [line for line in readme.whole().splitlines() if line.startswith("| ")]
    assert all(any(result["name"] in row for row in rows) for result in bench)


def test_readme_shows_four_uses_of_ten_lines_each():
    uses = TEXTS["README.md"].partition("## Four uses")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```\w+\n(.*?)^```", uses, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    assert all(sum(bool(line.strip()) for line in block.splitlines()) <= 10 for block in blocks)


def test_the_version_is_the_same_wherever_it_stands():
    versions = re.findall(r"^## (\d+\.\d+\.\d+), (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    cited = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    built = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert versions[-1] == (prunekit.__version__, cited["date-released"])
    assert {cited["version"], built} == {prunekit.__version__}
    assert CHANGELOG.index("## Unreleased") > CHANGELOG.index(f"## {versions[-1][0]}")


def test_a_step_that_is_not_timed_again_keeps_the_commit_it_is_of():
    first = {"measured": "2026-01-01", "commit": "a", "seconds": {"x": 1.0, "y": 2.0}}
    assert road._earlier(first) == {step: {"measured": "2026-01-01", "commit": "a"} for step in "xy"}
    second = {"measured": "2026-02-02", "commit": "b", "seconds": {"x": 1.5, "y": 2.0}}
    second["earlier"] = {"y": road._earlier(first)["y"]}
    assert {step: when["commit"] for step, when in road._earlier(second).items()} == {"x": "b", "y": "a"}
