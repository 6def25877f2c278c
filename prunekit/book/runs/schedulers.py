"""How a Dask scheduler is asked and heard: whether it answers, what its workers say, and what runs where."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prunekit.book.runs.notebooks import Refused

PATIENCE = 10  # seconds in which a scheduler must answer
MISSING = "--engine dask needs the library distributed: pip install '.[cluster]' in a clone of prunekit"


def quiet() -> None:
    """Keep the library's warnings from the terminal: what they mean for the batch is said in our words."""
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def client_of(address: str, patience: float = PATIENCE) -> Any:
    """Connect to a scheduler; the request is refused if none answers within `patience` seconds."""
    import distributed

    quiet()
    try:
        return distributed.Client(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Refused(
            f"no Dask scheduler answers at {address} ({line(error)}): start one with `dask scheduler`, "
            "and workers with `dask worker ADDRESS --nthreads 1`"
        ) from error


def line(error: BaseException) -> str:
    """Return the first line of an error, or its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def topic_of(folder: Path) -> str:
    """Return the scheduler's topic under which the workers of a store say what they do."""
    return f"prunekit {folder}"


class Watch:
    """What the workers of a store's batches said last.

    Parameters
    ----------
    refused
        Called with a run's key and each worker's reason when all of them refuse it.
    """

    def __init__(self, refused: Callable[[str, Mapping[str, str]], None] | None = None) -> None:
        self._tell = refused
        self._running: dict[str, Mapping[str, Any]] = {}
        self._refused: dict[str, dict[str, str]] = {}
        self._workers: set[str] = set()

    def __call__(self, event: tuple[float, Any]) -> None:
        """Take in what a worker, or the scheduler, has said."""
        said = event[1]
        if said.get("action") == "add-worker":
            self._workers.add(said["worker"])
        elif said.get("action") == "remove-worker":
            self.keep(self._workers - {said["worker"]})
        elif said.get("what") == "started":
            self._running[said["key"]] = said
            self._refused.pop(said["key"], None)
        elif said.get("what") == "ended":
            self._running.pop(said["key"], None)
        elif said.get("what") == "refused":
            self._refused.setdefault(said["key"], {})[said["worker"]] = said["reason"]
        for key in list(self._refused) if self._tell else ():
            if reasons := self.refused_by_all(key):
                self._tell(key, reasons)  # type: ignore[misc]

    def where(self, key: str) -> str | None:
        """Name the worker that executes a run; None when no worker does."""
        event = self._running.get(key)
        return str(event["where"]) if event else None

    def keep(self, workers: Iterable[str]) -> None:
        """Keep only what these workers said: the others are gone."""
        self._workers = set(workers)
        self._running = {key: e for key, e in self._running.items() if e["worker"] in self._workers}

    def running(self) -> dict[str, Mapping[str, Any]]:
        """Return what the workers said when they started the runs that they are executing, by key."""
        return dict(self._running)

    def refused_by_all(self, key: str) -> dict[str, str]:
        """Return each worker's reason if all of them refuse a run, else an empty dictionary."""
        reasons = self._refused.get(key, {})
        return reasons if self._workers and self._workers <= set(reasons) else {}


def follow(client: Any, watch: Watch, folder: Path) -> None:
    """Let `watch` hear what the workers say of a store, and what they said before this call."""
    topic = topic_of(folder)
    client.subscribe_topic("all", watch)
    for event in client.get_events(topic):
        if event[1]["what"] != "refused":  # a worker may have been mended since
            watch(event)
    watch.keep(client.scheduler_info(n_workers=-1)["workers"])
    client.subscribe_topic(topic, watch)


def unfollow(client: Any, folders: Sequence[Path]) -> None:
    """Stop listening to some stores: the scheduler would go on telling a client that has gone."""
    if client.status == "running":
        for topic in ("all", *map(topic_of, folders)):
            with suppress(ValueError):  # it was not followed
                client.unsubscribe_topic(topic)


def answers(address: str) -> bool | None:
    """Tell whether a scheduler answers; None where the library that could ask it is missing."""
    try:
        client_of(address, patience=3).close(timeout=2)
    except ImportError:
        return None
    except Refused:
        return False
    return True


def running(address: str, folder: Path) -> dict[str, Mapping[str, Any]]:
    """Ask a scheduler what its workers are executing in a store.

    Raises
    ------
    Refused
        If the library is missing, or the scheduler does not answer.
    """
    try:
        client = client_of(address, patience=3)
    except ImportError as error:
        raise Refused(f"{MISSING} ({error})") from error
    try:
        watch = Watch()
        follow(client, watch, folder)
        return watch.running()
    finally:
        unfollow(client, [folder])
        client.close(timeout=2)
