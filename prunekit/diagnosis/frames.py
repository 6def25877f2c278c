"""Tables as pandas data frames, where pandas is there."""

from __future__ import annotations

from typing import Any


def frame(rows: list[dict[str, Any]]) -> Any:
    """Return rows as a pandas DataFrame.

    Raises
    ------
    ImportError
        If pandas is not installed, which nothing else needs.
    """
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("to_frame needs pandas: pip install pandas; the rows themselves are lists of dicts") from None
    return pd.DataFrame(rows)
