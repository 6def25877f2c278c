"""What executes a notebook's cells: papermill's client of a kernel, with limits and ends that say what happened.

nbclient waits for output only four seconds after a cell has ended, and has no limit on what it keeps. Here output
is waited for as long as it comes, pieces of one stream are joined as they arrive, and a run may take and put out as
much as its `Limits` say.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import DeadKernelError
from nbclient.util import ensure_async
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager

from prunekit.book.runs import failures
from prunekit.book.runs.failures import RunFailed
from prunekit.book.runs.kernel import Kernel
from prunekit.book.runs.launcher import ALIAS
from prunekit.book.runs.tags import Directives

START = 120  # seconds that a kernel may take to answer: a busy machine imports slowly
SILENCE = 600  # seconds without output after which a kernel that has finished a cell is given up
LOOK = 1.0  # seconds between two looks at the kernel's process
PATIENCE = 9  # the notebook is written again after this many times the time that writing it took


@dataclass(frozen=True)
class Limits:
    """How much a run may take.

    Attributes
    ----------
    seconds, cell_seconds
        Seconds that the run and each of its cells may take; None for no limit.
    output
        Characters of output that a run keeps.
    """

    seconds: float | None = None
    cell_seconds: float | None = None
    output: int = 100_000_000


class Saved(NotebookExecutionManager):
    """The notebook under execution, written whole, then renamed, and not so often that it costs time."""

    def __init__(self, node: Any, path: Path) -> None:
        super().__init__(node, output_path=str(path), progress_bar=False)
        self.settle = lambda: None
        self._cost, self._last, self._final = 0.0, -math.inf, False

    def save(self, **_: Any) -> None:
        """Write the notebook as far as it is executed."""
        began = time.monotonic()
        if began - self._last < PATIENCE * self._cost and not self._final:
            return
        self.settle()
        path = Path(str(self.output_path))
        draft = path.with_name(f".{path.name}")
        draft.write_bytes(nbformat.writes(self.nb).encode("utf-8", "replace"))  # output may hold half a surrogate pair
        draft.replace(path)
        self._last = time.monotonic()
        self._cost, self.last_save_time = self._last - began, self.now()

    def notebook_complete(self, **_: Any) -> None:
        """Write it a last time."""
        self._final = True
        super().notebook_complete()


class Client(PapermillNotebookClient):
    """Executes a notebook, or raises `RunFailed`.

    Attributes
    ----------
    facts
        What the kernel said of itself, most recently after the last cell had ended.
    """

    def __init__(
        self, saved: Saved, kernel: Kernel, limits: Limits, said: Directives, beside: Path, names: list[str]
    ) -> None:
        super().__init__(
            saved,
            km=kernel.manager,
            allow_errors=said.allow_errors,
            iopub_timeout=SILENCE,
            raise_on_iopub_timeout=True,
            record_timing=False,
        )
        saved.settle = self.settle
        self.facts: dict[str, Any] = {}
        self._kernel, self._limits, self._beside, self._names = kernel, limits, beside, names
        self._cell_seconds = limits.cell_seconds or said.cell_timeout
        self._began, self._index = time.monotonic(), 0
        self._run_ends_first = False  # whether the run's limit of time comes before the cell's
        self._started = False  # whether the kernel has answered
        self._amounts: dict[int, int] = {}  # characters of output by cell
        self._stream: Any = None  # the output that is being continued, and its pieces
        self._pieces: list[str] = []
        self._ending: RunFailed | None = None
        self._watch: asyncio.Task[Any] | None = None

    def run(self, folder: Path) -> None:
        """Start the kernel in `folder`, execute every cell, and end the kernel.

        Raises
        ------
        RunFailed
            If the run ended before its last cell, in whatever way.
        """
        left = self._left()
        self.startup_timeout = START if left is None else max(1, min(START, math.ceil(left)))
        self.nb_man.notebook_start()
        log = self._kernel.log
        try:
            self.execute(cleanup_kc=True, cwd=str(folder), env=self._kernel.environment(), stdout=log, stderr=log)
        except (RunFailed, MemoryError):
            raise
        except (RuntimeError, OSError) as error:
            self._kernel.look()
            if self._started and isinstance(error, DeadKernelError):  # after the last cell
                raise failures.died("the end of the notebook", self._kernel.status, self._kernel.last_words()) from None
            if self._started:  # no fault of the kernel's, as when the disk does not take the notebook
                raise
            if self._passed():
                raise failures.too_long("the kernel's start", self._limits.seconds or 0) from None
            raise failures.not_started(self._kernel.last_words(), str(error)) from error
        finally:
            self.nb_man.notebook_complete()

    def papermill_execute_cells(self) -> None:
        """Execute the cells in order; the name is papermill's."""
        self._kernel.look()
        self.facts = self._ask()
        self._started = True
        for index, cell in enumerate(self.nb.cells):
            self._index = index
            try:
                self.nb_man.cell_start(cell, index)
                self.execute_cell(cell, index)
                if self._ending:  # its reply had come, and then its output was too much
                    raise self._ending
            except BaseException as error:
                self.nb_man.cell_exception(cell, cell_index=index, exception=error)
                self._kernel.look()
                self.shutdown_kernel = "immediate"  # it may be busy for ever
                raise self._told(error) from error
            finally:
                self.settle()
                self.nb_man.cell_complete(cell, cell_index=index)
        self.facts = self._ask()

    def _told(self, error: BaseException) -> BaseException:
        """Return what an error that nbclient raised in a cell means."""
        if isinstance(error, DeadKernelError):
            return self._ending or failures.died(self._place, self._kernel.status, self._kernel.last_words())
        if isinstance(error, TimeoutError):  # the cell has ended, and the message that says so never came
            return failures.died(self._place, None, self._kernel.last_words())
        return error

    @property
    def _place(self) -> str:
        return failures.place(self.nb.cells, self._index)

    def _ask(self) -> dict[str, Any]:
        """Ask the kernel about itself, in a silent request that counts as no cell."""
        question = f"__import__({ALIAS!r}).facts({','.join(self._names)!r})"
        assert self.kc is not None
        asked = self.kc.execute("", silent=True, store_history=False, user_expressions={"facts": question})
        reply = self.wait_for_reply(asked)
        answer = reply["content"].get("user_expressions", {}).get("facts", {}) if reply else {}
        with contextlib.suppress(KeyError, ValueError, SyntaxError):
            return dict(json.loads(ast.literal_eval(answer["data"]["text/plain"])))
        return self.facts  # the notebook changed how a kernel shows values

    # Limits of time

    def _left(self) -> float | None:
        return None if self._limits.seconds is None else self._limits.seconds - (time.monotonic() - self._began)

    def _passed(self) -> bool:
        left = self._left()
        return left is not None and left <= 0

    def _get_timeout(self, cell: Any) -> Any:
        """Return how long nbclient may wait: the cell's limit, or what is left of the run's."""
        left, cell_seconds = self._left(), None if cell is None else self._cell_seconds
        # Which of the two ends the wait is settled here: a timer may ring a moment before the clock shows its time.
        self._run_ends_first = left is not None and (cell_seconds is None or left <= cell_seconds)
        waits = [w for w in (cell_seconds, left) if w is not None]
        return max(min(waits), 0.001) if waits else None

    def _time_is_up(self) -> RunFailed:
        if self._run_ends_first:
            return failures.too_long(self._place, self._limits.seconds or 0)
        said_by = "--cell-timeout" if self._limits.cell_seconds else "its front matter"
        return failures.too_long(self._place, self._cell_seconds or 0, said_by)

    async def _async_handle_timeout(self, timeout: int, cell: Any = None) -> None:
        raise self._time_is_up()

    async def _async_poll_kernel_alive(self) -> None:
        """Look at the kernel's process; a dead one ends the wait for its reply."""
        self._watch = asyncio.current_task()
        while True:
            await asyncio.sleep(LOOK)
            self._kernel.look()
            if self.kc is None or not await ensure_async(self.kc.is_alive()):
                self._end(None)
                return

    def _end(self, why: RunFailed | None) -> None:
        """Stop waiting for the running cell."""
        self._ending = why
        if self._watch is not None:
            self._watch.cancel()
        if self.task_poll_for_reply is not None:
            self.task_poll_for_reply.cancel()

    # Output

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: Any, cell_index: int) -> None:
        """Take the cell's output until the kernel is idle; a flood of it must not keep the clocks from running."""
        timeout = self._get_timeout(cell)
        limit = math.inf if timeout is None else time.monotonic() + timeout
        assert self.kc is not None
        while True:
            message = await ensure_async(self.kc.iopub_channel.get_msg(timeout=None))
            await asyncio.sleep(0)
            if message["parent_header"].get("msg_id") != parent_msg_id:
                continue
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return
            try:
                self.process_message(message, cell, cell_index)
            except RunFailed as why:
                self._end(why)
                return
            if time.monotonic() > limit:
                self._end(self._time_is_up())
                return

    def output(self, outs: list[Any], msg: dict[str, Any], display_id: str, cell_index: int) -> Any:
        """Keep one output; a piece of a stream is joined to the one before it, and too much output ends the run."""
        if self.clear_before_next_output:
            self._amounts[cell_index] = 0
        content = msg["content"]
        amount = _amount(content)
        before = sum(self._amounts.values())
        self._amounts[cell_index] = self._amounts.get(cell_index, 0) + amount
        if before + amount > self._limits.output:
            room = max(self._limits.output - before, 0)
            if msg["msg_type"] == "stream" and room:
                content["text"] = content["text"][:room]
                self._keep(outs, msg, display_id, cell_index)
            raise failures.too_much(self._place, before + amount, self._limits.output)
        return self._keep(outs, msg, display_id, cell_index)

    def _keep(self, outs: list[Any], msg: dict[str, Any], display_id: str, cell_index: int) -> Any:
        content = msg["content"]
        goes_on = self._stream is not None and outs and outs[-1] is self._stream and not self.clear_before_next_output
        if goes_on and msg["msg_type"] == "stream" and content["name"] == self._stream.name:
            self._pieces.append(content["text"])
            return self._stream
        self.settle()
        kept = super().output(outs, msg, display_id, cell_index)
        if kept is not None and kept.output_type == "stream":
            self._stream, self._pieces = kept, [kept.text]
        return kept

    def clear_output(self, outs: list[Any], msg: dict[str, Any], cell_index: int) -> None:
        """Forget a cell's output when it asks for that."""
        self.settle()
        super().clear_output(outs, msg, cell_index)
        if not msg["content"].get("wait"):
            self._amounts[cell_index] = 0

    def settle(self) -> None:
        """Join the pieces of the stream that was last continued."""
        if self._stream is not None and len(self._pieces) > 1:
            self._stream.text = "".join(self._pieces)
            self._pieces = [self._stream.text]

    async def _check_raise_for_error(self, cell: Any, cell_index: int, exec_reply: dict[str, Any] | None) -> None:
        """Raise what the cell's reply says, unless the notebook expects an error here."""
        content = exec_reply["content"] if exec_reply else {}
        if any(part.get("source") == "ask_exit" for part in content.get("payload", [])):
            raise failures.asked_to_exit(self._place)
        if content.get("status") == "error" and not (
            self.allow_errors or "raises-exception" in cell.metadata.get("tags", [])
        ):
            raise failures.raised(
                self._place,
                content.get("ename", "Error"),
                content.get("evalue", ""),
                content.get("traceback", []),
                self._beside,
            )


def _amount(content: dict[str, Any]) -> int:
    """Count the characters of one output, with what a file needs for it besides."""
    parts = [content.get("text", ""), content.get("evalue", ""), *content.get("traceback", [])]
    parts += [v if isinstance(v, str) else json.dumps(v) for v in content.get("data", {}).values()]
    return sum(map(len, parts)) + (len(json.dumps(content["metadata"])) if content.get("metadata") else 0) + 20
