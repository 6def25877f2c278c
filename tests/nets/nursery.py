"""Trains one and the same network in forked children, which a test kills: torch is imported once for all of them.

For every line on its standard input, a checkpoint's path, it forks a child that trains with ``resume=path``, prints
the child's process id, waits, and prints how the child ended.
"""

from __future__ import annotations

import os
import sys

import torch

from prunekit.nets import Config, Fitted, fit, models
from tests.nets.helpers import toy

EPOCHS = 60


def train(path: str | None) -> Fitted:
    """Train with all that a checkpoint must carry: momentum, batch norm, augmentation, schedule, mask, averaging."""
    model = models.resnet20(2, 3)
    masks = {"block10.conv2.weight": torch.rand(4, 4, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.5}
    config = Config(
        epochs=EPOCHS, batch_size=16, momentum=0.9, lr=0.01, schedule="cosine", l1=1e-4, crop=1, flip=True, average=40
    )
    return fit(model, toy(40, shape=(3, 8, 8)), config, masks=masks, resume=path)


def main() -> None:
    """Serve."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            train(line.strip())
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
