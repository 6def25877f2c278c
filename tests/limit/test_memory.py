"""A data set's bytes stay bytes while the limit of a network on it is predicted."""

import json
import os
import subprocess
import sys

from prunekit.book import paths

IMAGES = 10_000
BESIDE = 400e6  # bytes: batches, products, and what libraries keep; all images as floats would be 491 MB more
# What is freed goes back to the system at once: else the peak counts holes between what lives, of 100 MB and more.
FREED = {"MALLOC_MMAP_THRESHOLD_": "1000000", "MALLOC_TRIM_THRESHOLD_": "0"}


def test_images_are_not_held_as_floats():
    command = [sys.executable, "-m", "tests.limit.memory", str(IMAGES)]
    done = subprocess.run(command, cwd=paths.ROOT, env=os.environ | FREED, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["bytes"] == IMAGES * 3 * 64 * 64
    assert found["rise"] - found["bytes"] < BESIDE
