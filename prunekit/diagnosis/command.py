"""`prunekit diagnose`: a report on a checkpoint, or on the weights of a file alone."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--model", "maker", metavar="PACKAGE.MODULE:MAKE", help="A function without arguments that returns the network."
)
@click.option(
    "--data",
    "source",
    metavar="PACKAGE.MODULE:LOAD",
    help="A function without arguments that returns batches, or a data set's name.",
)
@click.option(
    "--loss", default="cross_entropy", show_default=True, help="cross_entropy, next_token, multi_label, mse, or own."
)
@click.option("--budget", default="1 min", show_default=True, help="How long it may take: '90 s', '10 min', or none.")
@click.option("--epsilon", type=float, help="How much the loss may rise  [default: its deviation over minibatches]")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as a page.")
@click.option("--json", "json_", type=click.Path(path_type=Path, dir_okay=False), help="Write the report's numbers.")
@click.option("--mask", type=click.Path(path_type=Path, dir_okay=False), help="Write a mask; needs --keep.")
@click.option("--keep", type=float, help="The share of the weights that the mask keeps.")
@click.option("--seed", default=0, show_default=True)
def diagnose(
    checkpoint: Path,
    maker: str | None,
    source: str | None,
    loss: str,
    budget: str,
    epsilon: float | None,
    html: Path | None,
    json_: Path | None,
    mask: Path | None,
    keep: float | None,
    seed: int,
) -> None:
    r"""Report on the network whose weights are in CHECKPOINT: a state dict, as .pt or .safetensors.

    Without --model and --data only the weights are looked at, layer by layer, without loading the network.

    \b
    prunekit diagnose weights.safetensors
    prunekit diagnose model.pt --model mynets:resnet --data mydata:batches --budget '10 min' --html report.html
    """
    if (maker is None) != (source is None):
        missing = "--data" if source is None else "--model"
        raise click.UsageError(f"{missing} is missing: give --model and --data, or neither for the weights alone")
    if (mask is None) != (keep is None):
        raise click.UsageError("give --mask and --keep together")
    try:
        if maker is None or source is None:
            _weights(
                checkpoint, [name for name, given in (("--html", html), ("--json", json_), ("--mask", mask)) if given]
            )
            return
        report = _whole(checkpoint, maker, source, loss, budget, epsilon, seed)
        if mask is not None and keep is not None:
            report.masks(keep).save(mask)
        if html is not None:
            report.to_html(html)
        if json_ is not None:
            report.to_json(json_)
    except (ValueError, TypeError, FloatingPointError, OSError, ImportError) as reason:
        click.echo(f"Error: {reason}", err=True)
        sys.exit(2)
    click.echo(str(report))


def _weights(checkpoint: Path, asked: list[str]) -> None:
    from prunekit.diagnosis.files import weights_report

    if asked:
        raise click.UsageError(f"{asked[0]} needs --model and --data")
    click.echo(repr(weights_report(checkpoint)))


def _whole(checkpoint: Path, maker: str, source: str, loss: str, budget: str, epsilon: float | None, seed: int) -> Any:
    """Load the network and the data, and diagnose."""
    model = _called("--model", maker)
    model.load_state_dict(_state(checkpoint))
    from prunekit.diagnosis.run import diagnose as whole
    from prunekit.nets import load

    data = _called("--data", source) if ":" in source else load(source, seed=seed)
    allowed = None if budget.strip().lower() == "none" else budget
    return whole(model, data, None if loss == "own" else loss, budget=allowed, epsilon=epsilon, seed=seed)


def _called(option: str, place: str) -> Any:
    """Import a function by module and name, from the working directory too, and call it."""
    module, colon, name = place.partition(":")
    if not colon or not name:
        raise ValueError(f"{option} is {place!r}: write it as package.module:function")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError) as reason:
        raise ValueError(
            f"{option} is {place!r}, which cannot be imported ({reason}): give a module on the path"
        ) from reason
    return function() if callable(function) else function


def _state(checkpoint: Path) -> Any:
    """Return the state dict of a checkpoint."""
    if checkpoint.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(checkpoint)
    import torch

    try:
        loaded = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as reason:  # torch raises many kinds
        raise ValueError(f"CHECKPOINT is {str(checkpoint)!r}, which torch cannot read as weights ({reason})") from None
    return loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
