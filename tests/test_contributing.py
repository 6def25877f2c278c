"""CONTRIBUTING.md: each example is short, and is followed here, in a copy of the book or by executing it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import yaml

from prunekit.book import paths
from prunekit.book.verdicts import ERRATUM, REDUCED
from prunekit.masks import scores
from prunekit.nets import Config, Dataset, MissingData, evaluate, fit, load, models, sources
from tests.book.figures.looks import look
from tests.book.site.commands import command_lines
from tests.test_readme import made, not_in_the_makefile

TEXT = (paths.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGE = "overparameterization/doubling"
FIGURE = "prunekit/book/figures/doubling.py"
MOST = 10


def examples(text: str) -> dict[str, list[tuple[str, str]]]:
    """Return the language and the text of the code blocks below each heading."""
    found: dict[str, list[tuple[str, str]]] = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        blocks = re.findall(r"^(`{3,})(\w+)\n(.*?)^\1$", body, re.MULTILINE | re.DOTALL)
        found[title] = [(language, code) for _, language, code in blocks]
    return found


EXAMPLES = examples(TEXT)


def block(title: str, language: str, number: int = 0) -> str:
    """Return an example."""
    return [code for kind, code in EXAMPLES[title] if kind == language][number]


def counted(code: str) -> int:
    """Return the lines of an example that say something."""
    return sum(bool(line.strip()) and not line.startswith("```") for line in code.splitlines())


def test_each_thing_that_is_added_has_an_example():
    things = ["A page", "A figure", "A claim", "An erratum", "A pruning strategy", "A data set", "A recording"]
    assert list(EXAMPLES) == things
    assert all(EXAMPLES.values())


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_is_short(title):
    assert [code for _, code in EXAMPLES[title] if counted(code) > MOST] == []


def test_its_commands_exist():
    assert not_in_the_makefile(TEXT) == []
    assert {"book", "test", "lint"} <= {word for arguments in made(TEXT) for word in arguments}


def test_the_files_that_it_names_exist():
    named = set(re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|md|yml|txt))`", TEXT))
    assert len(named) > 8
    added = {FIGURE, f"chapters/{PAGE}.md"}
    assert [name for name in sorted(named - added) if not (paths.ROOT / name).exists()] == []


# A page with a figure, a claim and an erratum, in a copy of the book


def appended(page: Path, code: str) -> None:
    """Add a code cell to a page."""
    with page.open("a", encoding="utf-8") as file:
        file.write(f"\n```{{code-cell}} ipython3\n{code}```\n")


def added(text: str, entry: str, part: str) -> str:
    """Return a ledger with an entry at the head of one of its parts."""
    assert f"\n{part}:\n" in text
    return text.replace(f"\n{part}:\n", f"\n{part}:\n\n{entry}", 1)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Return a copy of the book whose only page is the example's, with everything on it that the examples add."""
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__", "recorded")
    for name in ("prunekit", "book"):
        shutil.copytree(paths.ROOT / name, folder / name, ignore=ignored)
    for name in ("_config.yml", "requirements.txt"):
        shutil.copy(paths.ROOT / name, folder / name)
    [line] = re.findall(r"`(- file: .*?)` in `_toc.yml`", TEXT)
    toc = {"format": "jb-book", "root": "book/introduction"}
    toc["parts"] = [{"caption": "One page", "chapters": yaml.safe_load(line)}]
    (folder / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    page = folder / "chapters" / f"{PAGE}.md"
    page.parent.mkdir(parents=True)
    page.write_text(block("A page", "markdown"), encoding="utf-8")
    (folder / FIGURE).write_text(block("A figure", "python"), encoding="utf-8")
    ledger = folder / "book" / "claims.yml"
    text = added(ledger.read_text(encoding="utf-8"), block("A claim", "yaml"), "claims")
    ledger.write_text(added(text, block("An erratum", "yaml"), "errata"), encoding="utf-8")
    for title, number in (("A figure", 1), ("A claim", 0), ("An erratum", 0)):
        appended(page, block(title, "python", number))
    return folder


def prunekit(folder: Path, *arguments: str) -> str:
    """Return what a command of the copy says."""
    done = subprocess.run(
        [sys.executable, "-m", "prunekit", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def commands():
    """Return the two commands of the section on recordings."""
    return list(command_lines(f"```bash\n{block('A recording', 'bash')}```\n"))


@pytest.fixture(scope="module")
def run(copy, commands):
    """Return the folder of the page's run."""
    said = prunekit(copy, *commands[0])
    return Path(said.rpartition("executed notebook: ")[2].strip()).parent


@pytest.fixture(scope="module")
def judged(copy, run):
    """Return what the ledger says after the run: a recording changes the key of its page."""
    assert run.is_dir()
    return json.loads(prunekit(copy, "claims", "--scale", "paper", "--json"))


@pytest.fixture(scope="module")
def recorded(copy, commands, run, judged):
    """Return the copy, in which the run has been recorded."""
    assert judged
    prunekit(copy, *[str(run) if word == "RUN_FOLDER" else word for word in commands[1]])
    return copy


def test_the_page_is_executed_with_its_figure(run):
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["parameters"] == {"scale": "paper"}
    notebook = (run / "notebook.ipynb").read_text(encoding="utf-8")
    assert "figure-halving" in notebook
    assert "width = 1000" in notebook
    assert "The error halves with each doubling of the width." in notebook


def test_the_claim_and_the_erratum_are_judged(judged):
    verdicts = {row["id"]: row["verdict"] for row in judged if row["records"]}
    assert verdicts == {"chang/doubling": REDUCED, "chang/erratum-doubling": ERRATUM}


def test_the_recording_is_read_again(recorded):
    code = block("A recording", "python") + "print(full.numbers('halving')['error'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=recorded, env=os.environ | {"PYTHONPATH": str(recorded)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[1.0, 0.5, 0.25]"


# What is followed by executing it


def test_the_figure_is_what_figures_have_to_be():
    names = {}
    exec(compile(block("A figure", "python"), "CONTRIBUTING.md", "exec"), names)
    look(names["halving"]({"width": [1, 2, 4], "error": [1.0, 0.5, 0.25]}), x="width", y="error")


def test_the_strategy_prunes():
    names = {}
    exec(compile(block("A pruning strategy", "python"), "CONTRIBUTING.md", "exec"), names)
    model = names["model"]
    dense = models.fcn(64, [32], 10, seed=0)
    weights = {name: p for name, p in model.named_parameters() if name in names["centred"](model)}
    total = sum(p.numel() for p in weights.values())
    assert sum(int((p != 0).sum()) for p in weights.values()) == round(0.1 * total)
    before = dict(dense.named_parameters())
    for name, scored in names["centred"](dense).items():
        assert torch.equal(scored, (before[name] - before[name].mean()).abs())
        assert not torch.equal(scored, scores.magnitude(dense)[name])


def test_the_data_set_is_learned():
    names = {}
    exec(compile(block("A data set", "python"), "CONTRIBUTING.md", "exec"), names)
    bright = names["data"]
    assert isinstance(bright, Dataset)
    model = models.fcn(bright.inputs, [16], bright.classes, seed=0)
    fit(model, bright, Config(epochs=5, batch_size=50, lr=0.1, momentum=0.9))
    assert evaluate(model, bright)[1] == 1


def test_a_data_set_that_load_knows_is_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_SOURCES", dict(sources._SOURCES))
    exec(compile(block("A data set", "python", 1), "CONTRIBUTING.md", "exec"), vars(sources))
    import torchvision.datasets

    assert issubclass(getattr(torchvision.datasets, sources._SOURCES["kmnist"].torchvision), torchvision.datasets.MNIST)
    with pytest.raises(MissingData, match=r"kmnist has no files: .*KMNIST/raw is not a folder"):
        load("kmnist", tmp_path)


def test_a_slip_in_the_examples_would_be_seen():
    text = textwrap.dedent("""
        ## A page

        ````markdown
        ```{code-cell}
        x
        ```
        ````

        ```python
        y
        ```
        """)
    assert examples(text) == {"A page": [("markdown", "```{code-cell}\nx\n```\n"), ("python", "y\n")]}
    assert counted("```{code-cell}\nx\n\n```\ny\n") == 2
