"""jupyter-book in a process that ends with the build that started it.

``python -m prunekit.book.site.compiler build …`` is what a build starts.

The build holds the other end of standard input. When it ends, in whatever way, that end is closed and this process
stops too; otherwise it would go on writing a site that nobody waits for, and the next build would wait for its lock.
"""

from __future__ import annotations

import gc
import os
import sys
import threading


def main() -> None:
    """Run jupyter-book with this process's arguments."""
    threading.Thread(target=_end_with_the_build, daemon=True).start()
    gc.set_threshold(200_000, 20, 20)  # documents are kept to the end: to look for garbage took an eighth of the time
    from jupyter_book.cli.main import main as jupyter_book

    jupyter_book(sys.argv[1:], prog_name="jupyter-book")


def _end_with_the_build() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
