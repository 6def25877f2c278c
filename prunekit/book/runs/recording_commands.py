"""`prunekit record`: the plan of recordings, with the time that each takes here, and runs of it within a budget."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

import click

from prunekit.book import paths
from prunekit.book.runs.command import refusing
from prunekit.book.runs.notebooks import Refused
from prunekit.book.runs.plan import DEVICES, Entry, Plan

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType):
    """A time such as 90s, 25m or 1.5h, in seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds that a text gives."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", value)
        if not match or not float(match[1]):
            self.fail(f"{value!r} is no time: give seconds, minutes or hours, as 90s, 25m or 1.5h", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


device_option = click.option(
    "--device", type=click.Choice(DEVICES), default="cpu", show_default=True, help="Where networks are trained."
)


@click.group("record")
def group() -> None:
    """Plan the recordings at the papers' own size, and run them within a budget of time."""


@group.command("plan")
@device_option
@refusing
def show_plan(device: str) -> None:
    """Print what is to be recorded, and how long it takes here.

    The speed of the trainer and of curvature is measured first, in some seconds. Times are those of one seed;
    statements an hour count all that a recording still takes.
    """
    from prunekit.book.runs import budget, pace

    plan = _plan()
    here = pace.measured(device)
    click.echo(f"{here}\n")
    rows = []
    for entry in plan.entries:
        left = budget.wanted(entry, here, device)
        worth = entry.count / (sum(each.left for each in left) / 3600) if left else 0.0
        rows.append((worth, entry, left))
    for worth, entry, left in sorted(rows, key=lambda row: -row[0]):
        for line in _lines(entry, left, worth, here.seconds(entry.work), budget.refusal(entry, device)):
            click.echo(line)
    click.echo("\nin no entry:")
    for claim, why in plan.open.items():
        click.echo(f"  {claim}: {why}")


def _lines(entry: Entry, left: list[Any], worth: float, seconds: float, refusal: str) -> list[str]:
    """Return the lines of an entry: what it is, what it takes here, and what is there of it."""
    from prunekit.book.runs.progress import duration

    done, spent = len(entry.seeds) - len(left), sum(each.spent for each in left)
    begun = f", {duration(spent)} of it computed" if spent else ""
    value = f"{worth:.2g} statements an hour" if left else "recorded"
    claims = ", ".join(entry.statements)
    operations = entry.work.trained + entry.work.curved
    return [
        f"{entry.label}  ({entry.page}): {value}",
        f"  {entry.count} statements: {claims}",
        f"  {operations:.1e} operations a seed: {duration(seconds)} here",
        f"  seeds {', '.join(map(str, entry.seeds))}: {done} recorded{begun}",
        f"  recorded so far: {'; '.join(entry.largest()) or 'nothing'}",
        *([f"  not here: {refusal}"] if refusal and left else []),
    ]


@group.command("run")
@click.argument("label", required=False)
@click.option("--budget", type=Duration(), help="End within this time, from the start of the command: 90s, 25m, 1.5h.")
@device_option
@refusing
def run_plan(label: str | None, budget: float | None, device: str) -> None:
    r"""Run what the plan has and keep it in the package: LABEL, or the best that fits into the budget.

    Every run keeps its state each minute, and goes on from it when the command is repeated.

    \b
    prunekit record run --budget 25m --device cuda
    prunekit record run fc5-cifar10
    """
    from prunekit.book.runs import budget as spending
    from prunekit.book.runs import pace

    end = None if budget is None else _started() + budget
    plan = _plan()
    if label is None and end is None:
        raise click.UsageError("say what to run: a LABEL of the plan, or --budget TIME for the best that fits")
    here = None if end is None and device == "cpu" else pace.measured(device)  # a device that is missing is told first
    if label is not None:
        entry = plan.find(label)
        if why := spending.refusal(entry, device):
            raise Refused(f"{label} cannot be run on {device}: {why}")
        queue = spending.wanted(entry, here, device)
        if not queue:
            click.echo(f"{label} is recorded, with all its seeds")
    else:
        assert here is not None
        queue = spending.runnable(plan, here, device)
        if not queue:
            click.echo(f"nothing of the plan can be run on {device}: `prunekit record plan --device {device}` says why")
    if here is not None and end is not None and queue:
        click.echo(str(here))
        _announce(spending.forecast(queue, end - time.time()), end)
    if not spending.spend(queue, end, click.echo):
        sys.exit(1)


def _announce(chosen: list[tuple[Any, bool]], end: float) -> None:
    """Say what will be run before it begins."""
    from prunekit.book.runs.progress import duration

    click.echo(f"{duration(max(0.0, end - time.time()))} are left; will be run:")
    for one, ends in chosen:
        click.echo(f"  {one.name}: {duration(one.left)}{'' if ends else ', more than is left: it goes on next time'}")
    if not chosen:
        click.echo("  nothing: the budget is too short to start a kernel")


def _plan() -> Plan:
    from prunekit.book.runs.plan import plan

    if not paths.in_checkout():
        raise click.UsageError(f"no book here: {paths.ROOT} has no _toc.yml; recordings are made in a checkout")
    return plan()


def _started() -> float:
    """Return when this process began, in seconds since 1970: what it took to start is in the budget."""
    import psutil

    return float(psutil.Process().create_time())
