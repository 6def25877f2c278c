"""``make notebooks``: the pages as notebooks that run where only their repository's address is known.

A public host keeps them on a branch of their own, from which Colab and Binder open them. Each begins by installing the
library; Binder reads what to install from `requirements.txt` beside them, with the smaller torch that needs no GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prunekit.book import paths
from prunekit.book.runs.notebooks import Notebook, Refused, read
from prunekit.book.site.evidence import chapters

FOLDER = paths.BUILD / "notebooks"
_SMALL_TORCH = "--extra-index-url https://download.pytorch.org/whl/cpu"


def repository() -> tuple[str, str]:
    """Return the address and the branch that `_config.yml` names; the address is empty where it names none."""
    import yaml

    config = yaml.safe_load(paths.CONFIG.read_text(encoding="utf-8"))["sphinx"]["config"]
    return config.get("pk_repository") or "", config.get("pk_branch") or "main"


def written(notebook: Notebook, url: str, branch: str) -> Any:
    """Return a page's notebook with a first cell that installs the library from its repository."""
    import copy

    import nbformat

    node = copy.deepcopy(notebook.node)
    source = f'%pip install --quiet "prunekit[nets] @ git+{url}@{branch}"'
    node.cells.insert(0, nbformat.v4.new_code_cell(source, id="install"))
    return node


def write(folder: Path, url: str, branch: str = "main") -> list[Path]:
    """Write all pages as notebooks, and what Binder needs.

    Parameters
    ----------
    folder
        Where to write; it is made.
    url, branch
        The repository and its branch with the library.

    Raises
    ------
    Refused
        If no repository is named.
    """
    import nbformat

    if not url:
        raise Refused("_config.yml names no repository (pk_repository): notebooks would not know where to install from")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for notebook in map(read, chapters()):
        made.append(folder / f"{notebook.name.replace('/', '-')}.ipynb")
        nbformat.write(written(notebook, url, branch), made[-1])
    needs = f"{_SMALL_TORCH}\nprunekit[nets] @ git+{url}@{branch}\n"
    (folder / "requirements.txt").write_text(needs, encoding="utf-8")
    return made


if __name__ == "__main__":
    try:
        print(f"{len(write(FOLDER, *repository()))} notebooks under {FOLDER}")
    except Refused as reason:
        print(reason)
