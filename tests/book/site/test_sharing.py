"""What those who share the book meet: descriptions, links to a repository, notebooks, a citation, a container."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import jsonschema
import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from sphinx.errors import ConfigError

from prunekit import __version__
from prunekit.book import paths
from prunekit.book.runs.notebooks import Refused
from prunekit.book.site import online
from prunekit.book.site.evidence import chapters
from tests.test_readme import MAKEFILE, targets

URL = "https://github.com/someone/pruning"


def extension(name: str):
    """Return a module of the folder of Sphinx's extensions."""
    spec = importlib.util.spec_from_file_location(f"ext_{name}", paths.BOOK / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_buttons_lead_to_files_that_are_there():
    made = extension("repository")
    for page in ("chapters/heavy-tails/networks", "book/notation", "book/scorecard", "book/api/cones", "book/api"):
        groups = made.buttons(page, URL + "/", "main")
        links = {b["text"]: b["url"] for group in groups for b in group["buttons"]}
        assert links["Repository"] == URL
        for text, kind in {"Source of this page": "blob", "Suggest an edit": "edit"}.items():
            start, _, file = links[text].removesuffix("?plain=1").partition("/main/")
            assert start == f"{URL}/{kind}"
            assert (paths.ROOT / file).is_file()
        assert {"Colab", "Binder"} <= set(links) if page.startswith("chapters/") else "Colab" not in links


def test_colab_and_binder_open_a_notebook_that_installs_the_library(tmp_path):
    made = online.write(tmp_path, URL, "main")
    assert len(made) == len(chapters())
    live = extension("repository").buttons("chapters/heavy-tails/networks", URL, "main")[1]["buttons"]
    assert [link["url"] for link in live] == [
        "https://colab.research.google.com/github/someone/pruning/blob/notebooks/heavy-tails-networks.ipynb",
        "https://mybinder.org/v2/gh/someone/pruning/notebooks?labpath=heavy-tails-networks.ipynb",
    ]
    notebook = nbformat.read(tmp_path / "heavy-tails-networks.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source == f'%pip install --quiet "prunekit[nets] @ git+{URL}@main"'
    assert notebook.cells[1].source.startswith("# ")
    assert f"prunekit[nets] @ git+{URL}@main" in (tmp_path / "requirements.txt").read_text()


def test_without_a_repository_there_are_no_links_and_a_wrong_address_is_refused(tmp_path):
    assert online.repository() == ("", "main")
    with pytest.raises(Refused, match="names no repository"):
        online.write(tmp_path, "")
    with pytest.raises(ConfigError, match="OWNER/NAME, or nothing"):
        extension("repository").buttons("book/notation", "https://example.org/x", "main")


def test_a_description_is_the_glance_or_the_first_paragraph_in_whole_words():
    described = extension("pages").description
    assert described('<p>No.</p><ul class="pk-glance"><li>A &lt; B.</li><li>C.</li></ul>') == "A < B. C."
    assert described(r"<h1>T</h1><p>Of <em>s</em> <span>\(p\)</span> features.</p>") == "Of s p features."
    long = described(f"<p>{'word ' * 100}</p>")
    assert len(long) <= 200 and long.endswith("word…")
    assert described("") == ""


def test_every_page_of_the_site_describes_itself(smoke_site):
    told = {}
    for path in [smoke_site / "book" / "introduction.html", *sorted((smoke_site / "chapters").rglob("*.html"))]:
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        card = {m["property"]: m["content"] for m in page.select("meta[property]")}
        assert card["og:title"] == page.select_one("article h1").find(string=True).strip()
        assert page.select_one("meta[name=description]")["content"] == card["og:description"]
        told[path] = card["og:description"]
    assert all(len(text) > 40 for text in told.values())
    assert len(set(told.values())) == len(told)


def test_the_citation_is_valid_and_of_this_version():
    schema = json.loads(Path(__file__).with_name("cff-1.2.0.schema.json").read_text(encoding="utf-8"))
    citation = yaml.load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    jsonschema.validate(citation, schema)
    assert citation["version"] == __version__
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(citation | {"type": "novel"}, schema)


def test_the_container_is_set_up_by_make():
    container = json.loads((paths.ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    make, target = container["postCreateCommand"].split()
    assert make == "make" and (target in targets(MAKEFILE) or target == ".venv/.ready")
    assert "3.11" in container["image"]
