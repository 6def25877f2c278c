"""What moves a run's key and what does not: the notebook, the library, data, files, recordings, pins."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from prunekit.book import paths
from prunekit.book.runs import keys
from prunekit.book.runs.beside import ChangedFile, brought
from prunekit.book.runs.cells import named_files, read_words
from prunekit.book.runs.notebooks import Notebook, Refused, coerce, read
from prunekit.book.runs.sources import plain
from prunekit.book.site.evidence import chapters
from tests.book.runs.helpers import counting_notebook, prunekit, starts, write_notebook


def key(notebook: Notebook, **given: object) -> str:
    return keys.run_key(notebook, coerce(notebook, given))


def with_front_matter(path: Path, line: str) -> Path:
    path.write_text(path.read_text().replace("---\n\n#", f"prunekit:\n  {line}\n---\n\n#", 1))
    return path


def test_a_data_file_that_a_notebook_reads_is_part_of_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = read(with_front_matter(counting_notebook(tmp_path / "n.md", tmp_path / "log"), "reads: [set/*]"))
    monkeypatch.delenv("PRUNEKIT_DATA", raising=False)
    assert keys.data_checksums(book) == {"set/*": "absent"}
    found = {key(book)}
    monkeypatch.setenv("PRUNEKIT_DATA", str(tmp_path))
    (tmp_path / "set").mkdir()
    for content in ("one", "two"):
        (tmp_path / "set" / "file").write_text(content)
        found.add(key(book))
    assert len(found) == 3


@pytest.mark.parametrize("pattern", ["", ".", "**a", "a/***", "a" * 300])
def test_a_pattern_that_no_folder_can_be_searched_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setenv("PRUNEKIT_DATA", str(tmp_path))
    path = counting_notebook(tmp_path / "n.md", tmp_path / "log")
    with pytest.raises(Refused, match=r"cannot be searched for .* write reads: \["):
        key(read(with_front_matter(path, f"reads: [{pattern!r}]")))


def test_the_library_is_in_it_as_code_and_not_as_words() -> None:
    import ast

    def meaning(source: str) -> str:
        return ast.dump(plain(ast.parse(source)))

    source = 'def f(x):\n    """Say."""\n    return x + 1  # why\n'
    assert meaning(source) == meaning('def f(x):\n    """Say it otherwise."""\n\n    return (x + 1)\n')
    assert meaning(source) != meaning(source.replace("+ 1", "+ 2"))


def test_no_page_computes_with_what_the_key_leaves_out() -> None:
    left_out = keys.library().left_out
    assert {"prunekit.cli", "prunekit.book.paths", "prunekit.book.runs.keys", "prunekit.book.site"} <= left_out
    for path in chapters():
        assert not left_out & set(keys.reachable(read(path)).modules), path


def test_a_notebook_that_imports_a_carrier_has_it_in_its_key(tmp_path: Path) -> None:
    book = read(write_notebook(tmp_path / "n.md", "from prunekit.book.runs import keys"))
    assert {"prunekit.book.runs", "prunekit.book.runs.keys", "prunekit.book.paths"} <= set(keys.reachable(book).modules)


def test_each_part_is_in_the_key_and_the_key_is_their_address(tmp_path: Path) -> None:
    book = read(counting_notebook(tmp_path / "n.md", tmp_path / "log"))
    parts = keys.fingerprint_parts(book, book.defaults)
    assert keys.address(parts) == key(book)
    assert json.loads(json.dumps(parts)) == parts
    assert len({keys.address(parts | {name: "other"}) for name in parts}) == len(parts)


def test_pins_are_read_without_comments_and_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = tmp_path / "requirements.txt"
    monkeypatch.setattr(paths, "REQUIREMENTS", pins)
    pins.write_text("# why\nnumpy==2.4.6\ntorch==2.15.0; sys_platform != 'x'\n")
    plain_pins = keys.versions()
    assert plain_pins == {"numpy": "2.4.6", "torch": "2.15.0;sys_platform != 'x'"}
    pins.write_text(
        "numpy==2.4.6 \\\n    --hash=sha256:ab \\\n    --hash=sha256:cd\n\n"
        "torch==2.15.0 ; sys_platform != 'x' --hash=sha256:ef # said\n"
    )
    assert keys.versions() == plain_pins
    pins.write_text("numpy==2.4.7\n")
    assert keys.versions() == {"numpy": "2.4.7"}


@pytest.mark.parametrize(
    ("code", "pages"),
    [
        ("x = 1", set()),
        (
            "from prunekit import recording\nrecording('hessian-bias/initialization', 'mnist')",
            {"hessian-bias/initialization"},
        ),
        ("from prunekit.book import recordings\nfor page, label in recordings.available():\n    pass", None),
    ],
)
def test_the_recordings_that_a_notebook_may_read_are_in_its_key(tmp_path: Path, code: str, pages: set | None) -> None:
    book = read(write_notebook(tmp_path / "n.md", code))
    found = {name.rsplit("/", 2)[0] for name in keys.fingerprint_parts(book, book.defaults)["recorded"]}
    every = {r.parent.parent.relative_to(paths.RECORDED).as_posix() for r in paths.RECORDED.rglob("run.json")}
    assert found == (every if pages is None else pages)


@pytest.mark.parametrize(
    ("code", "read_"),
    [
        ("open('F')", True),
        ("open('F', 'rb')", True),
        ("open('F', mode='r+')", True),
        ("from pathlib import Path\nPath('F').read_text()", True),
        ("import numpy as np\nname = 'F'\nnp.load(name)", True),
        ("name = 'F'\nopen(name, 'a')\nopen(name)", True),
        ("options = {'table': ['F']}", True),
        ("mode = 'w'\nopen('F', mode)", True),  # it cannot be told
        ("open('F', 'a')", False),
        ("open('F', mode='w').write('x')", False),
        ("from pathlib import Path\nPath('F').write_text('x')", False),
        ("from pathlib import Path\nlog = Path('F')\nwith log.open('a') as stream:\n    pass", False),
        ("import numpy as np\nnp.savez('F', x=1)", False),
        ("import logging\nlogging.FileHandler('F')", False),
        ("figure.savefig('F')", False),
        ("figure.savefig(fname='F')", False),
        ("table.to_csv(path_or_buf='F')", False),
        ("open(file='F', mode='w')", False),
        ("open(file='F')", True),
        ("logging.basicConfig(filename='F')", False),
        ("plt.imsave('F', picture)", False),
        ("shutil.copy('other', 'F')", False),
        ("shutil.copyfile(src='other', dst='F')", False),
        ("shutil.copy('F', 'other')", True),
        ("fit(model, data, config, resume='F')", False),
        ("from pathlib import Path\nfit(model, data, checkpoint=Path('F'))", False),
        ("model = load(checkpoint='F')", True),
        ("place = 'F'\nfit(model, data, resume=place)", False),
        ("place = 'F'\nfit(model, data, resume=place)\nopen(place)", True),
        ("sqlite3.connect('F').execute('insert into t values (1)')", False),
        ("sqlite3.connect('F').execute('SELECT * from t')", True),
    ],
)
def test_a_file_named_in_code_is_in_the_key_unless_it_is_only_written(tmp_path: Path, code: str, read_: bool) -> None:
    file = tmp_path / "some file.txt"
    file.write_text("1")
    book = read(write_notebook(tmp_path / "n.md", code.replace("'F'", repr(str(file)))))
    before = key(book)
    assert before == key(book)
    file.write_text("other")
    assert (key(book) != before) == read_


def test_a_file_is_found_by_other_ways_to_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.txt").write_text("1")
    (tmp_path / "near.txt").write_text("1")

    def names(code: str, **parameters: object) -> set[str]:
        return {p.name for p in named_files(read_words([code], parameters), tmp_path).values()}

    assert names("open('near.txt')") == {"near.txt"}
    assert names("open('~/data/x.txt')") == {"x.txt"}
    assert names(f"from pathlib import Path\nfolder = Path({str(tmp_path / 'data')!r})\n(folder / 'x.txt').open()") == {
        "x.txt"
    }
    assert names("open(table)", table=str(tmp_path / "near.txt")) == {"near.txt"}
    assert names("open(tables[0])", tables=[{"a": "near.txt"}]) == {"near.txt"}
    assert names("open(table, 'w')", table="near.txt") == set()
    assert names("open('/proc/cpuinfo')\nx = ['', '.', '/', '~nobody/x', 'a\\0b', 'x' * 9, 'near.txt\\n']") == set()


def test_a_file_read_by_its_path_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    table = tmp_path / "table.txt"
    path = write_notebook(
        tmp_path / "n.md", f"from prunekit import report\nreport(v=float(open({str(table)!r}).read()))"
    )
    values = []
    for value in (1, 2):
        table.write_text(str(value))
        assert prunekit("run", path, "--out", tmp_path / "out").returncode == 0
        values += [row["v"] for row in csv.DictReader((tmp_path / "out" / "results.csv").open())]
    assert values == ["1.0", "2.0"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("x.txt", "paths from the notebook's folder"),
        ("[1]", "paths from the notebook's folder"),
        ("[/etc/passwd]", "paths from the notebook's folder"),
        ("[../x.txt]", "paths from the notebook's folder"),
        ("[run.json]", "rename it"),
        ("[nothing.txt]", "does not exist"),
        ("[folder]", "is no file"),
        (f"[{'a' * 300}]", "too long"),
    ],
)
def test_front_matter_that_names_no_file_is_refused(tmp_path: Path, files: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    path = with_front_matter(counting_notebook(tmp_path / "n.md", tmp_path / "log"), f"files: {files}")
    with pytest.raises(Refused, match=said):
        key(read(path))


def test_a_file_of_the_front_matter_is_in_the_key_and_in_the_folder_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "x.txt").write_text("3")
    path = write_notebook(
        tmp_path / "n.md",
        f"""
        from prunekit import report
        report(v=int(open("tables/x.txt").read()))
        open("tables/x.txt", "w").write("spoiled")
        open({str(tmp_path / "log")!r}, "a").write("start 0\\n")
        """,
    )
    with_front_matter(path, "files: [tables/x.txt]")
    out = tmp_path / "out"
    assert prunekit("run", path, "--out", out).returncode == 0
    again = prunekit("run", path, "--out", out)
    assert "unchanged: 1 of 1" in again.stdout and len(starts(tmp_path / "log")) == 1
    assert (tmp_path / "tables" / "x.txt").read_text() == "3"  # the run had a copy
    (run,) = [p.parent for p in out.glob("*/run.json")]
    assert not (run / "tables").exists()
    assert set(json.loads((run / "run.json").read_text())["inputs"]["files"]) == {"tables/x.txt"}
    before = key(read(path))
    (tmp_path / "tables" / "x.txt").write_text("4")
    assert key(read(path)) != before


def test_a_file_that_changed_since_the_key_was_computed_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("new")
    (tmp_path / "run").mkdir()
    with pytest.raises(ChangedFile, match=r"x\.txt has changed"), brought(tmp_path, {"x.txt": "0"}, tmp_path / "run"):
        raise AssertionError("the notebook would have run")
    assert not list((tmp_path / "run").iterdir())
