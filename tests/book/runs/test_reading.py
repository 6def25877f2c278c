"""Notebooks as they come: each is read, or refused in one sentence that says what would be right."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from prunekit.book.runs.keys import run_key
from prunekit.book.runs.notebooks import Refused, coerce, parse_value, parse_values, read
from prunekit.cli import main

CODE: dict[str, Any] = {"cell_type": "code", "source": "x = 1", "metadata": {}, "outputs": [], "execution_count": None}
FENCE = "```{code-cell} ipython3\nx = 1\n```\n"


def notebook(*cells: Any, **other: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 4, **other}


def parameters(source: str) -> dict[str, Any]:
    return notebook({**CODE, "source": source, "metadata": {"tags": ["parameters"]}})


ODD_JSON: dict[str, tuple[Any, str]] = {
    "a list": ([1, 2], "holds a JSON list"),
    "a number": (3, "holds a JSON int"),
    "nothing": ({}, "nbformat is None"),
    "nbformat 3": ({"nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": []}]}, "nbformat is 3"),
    "nbformat 5": (notebook(CODE, nbformat=5), "nbformat is 5"),
    "nbformat as a word": (notebook(CODE, nbformat="4"), "nbformat is '4'"),
    "cells null": (notebook(CODE, cells=None), "cells are null"),
    "cells a mapping": (notebook(CODE, cells={"a": CODE}), "have to be a list"),
    "no cells": (notebook(), "no code cell"),
    "prose only": (notebook({"cell_type": "markdown", "source": "# T", "metadata": {}}), "no code cell"),
    "blank code only": (notebook({**CODE, "source": " \n"}), "no code cell"),
    "metadata null": (notebook(CODE, metadata=None), "metadata is null"),
    "metadata a list": (notebook(CODE, metadata=[]), "metadata is []"),
    "a cell that is a word": (notebook("x = 1"), "cell 1 is 'x = 1'"),
    "a cell of no kind": (notebook({"source": "x", "metadata": {}}), "cell 1 is of type null"),
    "a heading cell": (notebook(CODE, {**CODE, "cell_type": "heading"}), "cell 2 is of type 'heading'"),
    "cell metadata null": (notebook({**CODE, "metadata": None}), "metadata null"),
    "tags null": (notebook({**CODE, "metadata": {"tags": None}}), "tags null"),
    "tags a word": (notebook({**CODE, "metadata": {"tags": "hide-input"}}), "tags 'hide-input'"),
    "tags of numbers": (notebook({**CODE, "metadata": {"tags": [1]}}), "list of words"),
    "no source": (notebook({k: v for k, v in CODE.items() if k != "source"}), "no source"),
    "source null": (notebook({**CODE, "source": None}), "source null"),
    "source a number": (notebook({**CODE, "source": 5}), "source 5"),
    "source of numbers": (notebook({**CODE, "source": ["x", 5]}), "has to be text"),
    "half a surrogate pair": (notebook({**CODE, "source": "x = '\ud800'"}), "surrogate"),
    "NaN in its metadata": (notebook(CODE, metadata={"width": float("nan")}), "no JSON"),
    "attachments of a wrong kind": (
        notebook(CODE, {"cell_type": "raw", "source": "", "metadata": {}, "attachments": [1]}), "no valid notebook",
    ),
    "a kernel of R": (notebook(CODE, metadata={"kernelspec": {"name": "ir", "language": "R"}}), "kernel is 'ir'"),
    "R without a language": (notebook(CODE, metadata={"kernelspec": {"name": "ir"}}), "Python notebooks"),
    "a kernel of Julia": (
        notebook(CODE, metadata={"kernelspec": {"name": "julia-1.10", "language": "julia"}}), "julia",
    ),
    "language in language_info": (notebook(CODE, metadata={"language_info": {"name": "scala"}}), "scala"),
    "kernelspec a word": (notebook(CODE, metadata={"kernelspec": "python3"}), "kernelspec is 'python3'"),
    "kernelspec null": (notebook(CODE, metadata={"kernelspec": None}), "kernelspec is null"),
    "kernel name a number": (notebook(CODE, metadata={"kernelspec": {"name": 3}}), "name: python3"),
    "prunekit a list": (notebook(CODE, metadata={"prunekit": [1]}), "front matter"),
    "prunekit null": (notebook(CODE, metadata={"prunekit": None}), "front matter"),
    "reads a word": (notebook(CODE, metadata={"prunekit": {"reads": "a"}}), "reads"),
    "paper a list": (notebook(CODE, metadata={"prunekit": {"paper": ["li"]}}), "paper"),
    "mystnb a list": (notebook(CODE, metadata={"mystnb": []}), "mystnb"),
    "execution off": (notebook(CODE, metadata={"mystnb": {"execution_mode": "off"}}), "skip-execution"),
    "execution inline": (notebook(CODE, metadata={"mystnb": {"execution_mode": "inline"}}), "inline"),
    "allow_errors a word": (notebook(CODE, metadata={"execution": {"allow_errors": "yes"}}), "true or false"),
    "timeout a word": (notebook(CODE, metadata={"execution": {"timeout": "long"}}), "seconds"),
    "a skipped parameters cell": (
        notebook({**CODE, "metadata": {"tags": ["parameters", "skip-execution"]}}), "skip-execution",
    ),
    "a parameters cell that may fail": (
        notebook({**CODE, "metadata": {"tags": ["parameters", "raises-exception"]}}), "raises-exception",
    ),
    "two parameters cells": (notebook(*parameters("a = 1")["cells"], *parameters("b = 1")["cells"]), "2 cells"),
    "a parameter twice": (parameters("seed = 0\nseed = 1"), "'seed' twice"),
    "a parameter of 20,000 bits": (parameters("a = 0x1" + "0" * 5000), "20001 bits"),
    "a parameter of 5,000 digits": (parameters("a = 1" + "0" * 5000), "no Python"),
    "a parameter that is infinite": (parameters("a = 1e999"), "finite"),
    "a parameter that is bytes": (parameters("a = b'1'"), "literal"),
    "a parameter with a list as key": (parameters("a = {[]: 1}"), "literal"),
    "a parameter with a number as key": (parameters("a = {1: 1}"), "literal"),
    "a parameter with half a surrogate pair": (parameters("a = '\\ud800'"), "surrogate"),
    "a parameter of a thousand brackets": (parameters("a = " + "[" * 1000 + "]" * 1000), "no Python"),
    "a parameters cell with a null byte": (parameters("a = 1\0"), "no Python"),
    "a parameters cell with a magic": (parameters("%matplotlib inline\na = 1"), "no Python"),
}  # fmt: skip

ODD_BYTES: dict[str, tuple[str, bytes, str]] = {
    "empty": (".ipynb", b"", "it is empty"),
    "blanks": (".ipynb", b" \n", "it is empty"),
    "cut off": (".ipynb", json.dumps(notebook(CODE)).encode()[:50], "no JSON"),
    "no UTF-8": (".ipynb", b'{"cells": "\xff"}', "byte 11 is no UTF-8"),
    "a number of 5,000 digits": (".ipynb", b'{"nbformat": 1' + b"0" * 5000 + b"}", "no JSON"),
    "nested": (".ipynb", b"[" * 100_000, "nested too deeply"),
    "an empty page": (".md", b"", "no code cell"),
    "a page without cells": (".md", b"# T\n\n```python\nx = 1\n```\n\n```bash\nrm -r x\n```\n", "no code cell"),
    "a page in Latin-1": (".md", "# Größe\n".encode("latin-1"), "no UTF-8"),
    "front matter a list": (".md", f"---\n- a\n- b\n---\n\n{FENCE}".encode(), "has to be a mapping"),
    "front matter a word": (".md", f"---\nhello\n---\n\n{FENCE}".encode(), "has to be a mapping"),
    "front matter without an end": (".md", f"---\n\n{FENCE}".encode(), "has no end"),
    "front matter no YAML": (".md", f"---\na: [1\n---\n\n{FENCE}".encode(), "no YAML"),
    "a kernelspec that is a word": (".md", f"---\nkernelspec: python3\n---\n\n{FENCE}".encode(), "{name: python3}"),
    "a kernelspec of R": (
        ".md",
        f"---\nkernelspec: {{name: ir, language: R}}\n---\n\n{FENCE}".encode(),
        "Python notebooks",
    ),
    "front matter with a tag": (".md", f"---\na: !!python/object:os.x 1\n---\n\n{FENCE}".encode(), "no YAML"),
    "front matter with a set": (".md", f"---\na: !!set {{b}}\n---\n\n{FENCE}".encode(), "in quotes"),
    "options no YAML": (".md", b"```{code-cell} ipython3\n:tags: [a\n\nx = 1\n```\n", "no MyST"),
    "options no mapping": (".md", b"```{code-cell} ipython3\n:tags\n\nx = 1\n```\n", "no MyST"),
    "tags a word": (
        ".md",
        b"```{code-cell} ipython3\n:tags: hide-input\n\nx = 1\n```\n",
        "'hide-input' is not of type 'array'",
    ),
    "cells of R": (".md", b"```{code-cell} r\nx <- 1\n```\n", "Python notebooks"),
    "a loaded file": (".md", b"```{code-cell} ipython3\n:load: a.py\n\nx = 1\n```\n", ":load:"),
    "prunekit a word": (".md", f"---\nprunekit: li\n---\n\n{FENCE}".encode(), "front matter"),
    "another ending": (".txt", b"x", "neither"),
}


def refusal(path: Path) -> str:
    with pytest.raises(Refused) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message, message
    return message


@pytest.mark.parametrize("name", ODD_JSON)
def test_an_odd_notebook_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    content, said = ODD_JSON[name]
    path = tmp_path / "odd.ipynb"
    path.write_text(json.dumps(content))
    assert said in refusal(path)


@pytest.mark.parametrize("name", ODD_BYTES)
def test_an_odd_file_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    suffix, content, said = ODD_BYTES[name]
    path = tmp_path / f"odd{suffix}"
    path.write_bytes(content)
    assert said in refusal(path)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "folder.md").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "dangling.md").symlink_to(tmp_path / "nowhere.md")
    assert "is a folder" in refusal(tmp_path / "folder.md")
    assert "no regular file" in refusal(tmp_path / "pipe.ipynb")
    assert "no regular file" in refusal(tmp_path / "dangling.md")
    assert "does not exist" in refusal(tmp_path / "nowhere.md")
    assert "does not exist" in refusal(tmp_path / ("x" * 300 + ".md"))


def test_the_command_line_refuses_it_with_status_2(tmp_path: Path) -> None:
    path = tmp_path / "odd.ipynb"
    path.write_text(json.dumps(notebook({**CODE, "metadata": {"tags": None}})))
    done = CliRunner().invoke(main, ["run", str(path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2 and "tags null" in done.output and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(notebook(CODE)).encode(),
        b"\xef\xbb\xbf" + json.dumps(notebook(CODE)).encode(),
        json.dumps(notebook({**CODE, "source": ["x = 1"]}), indent=1).replace("\n", "\r\n").encode(),
        json.dumps(notebook({"cell_type": "code", "source": "x = 1"})).encode(),  # metadata and outputs left out
        json.dumps(
            notebook(CODE, metadata={"kernelspec": {"name": "conda-env-lab-py", "language": "python"}})
        ).encode(),
        json.dumps(notebook({**CODE, "outputs": [{"output_type": "gone", "data": float("nan")}]})).encode(),
    ],
)
def test_what_jupyter_opens_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(content)
    assert read(path).code == ["x = 1"]


@pytest.mark.parametrize(
    "text", [FENCE, f"# T\n\n{FENCE}", f"---\ndate: 2024-01-31\n---\n\n{FENCE}", f"\ufeff# T\r\n\r\n{FENCE}"]
)
def test_a_page_is_read_with_and_without_front_matter(tmp_path: Path, text: str) -> None:
    path = tmp_path / "n.md"
    path.write_bytes(text.encode())
    assert read(path).code == ["x = 1"]


@pytest.mark.parametrize(
    "spec",
    ["{name: python3}", "{name: python3, language: python}", "{language: python}", "{display_name: Mine}", "{}"],
)
def test_a_kernelspec_that_leaves_something_out_is_read_from_both_formats(tmp_path: Path, spec: str) -> None:
    (tmp_path / "n.md").write_text(
        f"---\ndate: 2024-01-31\nkernelspec: {spec}\nprunekit: {{files: [é]}}\n---\n\n{FENCE}"
    )
    given = yaml.safe_load(spec)
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook(CODE, metadata={"kernelspec": given})))
    page = read(tmp_path / "n.md")
    assert page.code == read(tmp_path / "n.ipynb").code == ["x = 1"]
    assert page.settings == {"files": ["é"]} and page.node.metadata["date"] == "2024-01-31"
    assert page.node.metadata["kernelspec"]["display_name"] == "Python 3"


def test_cells_keep_their_kinds_and_attachments_and_lose_their_ids(tmp_path: Path) -> None:
    image = {"a.png": {"image/png": "iVBORw0KGgo="}}
    cells = [
        {
            "cell_type": "markdown",
            "id": "same",
            "source": "![a](attachment:a.png)",
            "metadata": {},
            "attachments": image,
        },
        {"cell_type": "raw", "id": "same", "source": "as it is", "metadata": {"format": "text/latex"}},
        {**CODE, "id": "same", "source": "%matplotlib inline\n!true\nx = 1"},
        {**CODE, "id": "", "metadata": {"tags": ["injected-parameters"]}},
    ]
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps(notebook(*cells)))
    node = read(path).node
    assert [c.cell_type for c in node.cells] == ["markdown", "raw", "code"]
    assert node.cells[0].attachments == image and node.cells[1].metadata == {"format": "text/latex"}
    assert len({c.id for c in node.cells}) == 3 and node.metadata.kernelspec.name == "python3"


def test_tags_that_change_the_execution_change_the_key_and_no_others_do(tmp_path: Path) -> None:
    keys = {}
    for name, metadata, head in [
        ("plain", {}, {}),
        ("looks", {"tags": ["hide-input", "remove-output", "full-width"]}, {"mystnb": {"merge_streams": True}}),
        ("timeout", {}, {"execution": {"timeout": 30}}),
        ("skips", {"tags": ["skip-execution"]}, {}),
        ("raises", {"tags": ["raises-exception"]}, {}),
        ("allows", {}, {"mystnb": {"execution_allow_errors": True}}),
    ]:
        path = tmp_path / "n.ipynb"
        path.write_text(json.dumps(notebook(CODE, {**CODE, "metadata": metadata}, metadata=head)))
        book = read(path)
        keys[name] = run_key(book, book.defaults)
    assert keys["plain"] == keys["looks"] == keys["timeout"]
    assert len(set(keys.values())) == 4


def test_odd_values_of_parameters_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps(parameters("seed = 0\nword = 'a'\nsizes = [1]")))
    book = read(path)
    for text in ["1" + "0" * 5000, "[" * 1000 + "]" * 1000, "{[]: 1}", "1\0", "0x1" + "0" * 5000]:
        with pytest.raises(Refused):
            parse_value(book, "seed", text)
        with pytest.raises(Refused):
            parse_values(book, "sizes", text)
    with pytest.raises(Refused, match="no text"):
        coerce(book, {"word": os.fsdecode(b"\xff")})
