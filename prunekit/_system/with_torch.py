"""torch, or a word on which extra installs it: packages import this first, functions take torch from here."""

from prunekit._system import extras

with extras.needed("this part of prunekit"):
    import torch

__all__ = ["torch"]
