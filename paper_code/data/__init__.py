"""Click logs: encoded from raw files or generated from a seed.

What reads raw files, and so needs polars, is imported when it is first asked for.
"""

from importlib import import_module

from paper_code.data.click_log import ClickLog, Field, Split, load_click_log, split_rows
from paper_code.data.synthetic import avazu_like, criteo_like

SYNTHETIC_LOGS = {"criteo_like": criteo_like, "avazu_like": avazu_like}
FORMATS = ("avazu", "criteo", "frappe", "movielens", "table")
"""Each in a module of its name, with a function `prepare_<format>`."""

__all__ = [
    "FORMATS",
    "SYNTHETIC_LOGS",
    "ClickLog",
    "Field",
    "Split",
    "avazu_like",
    "criteo_like",
    "load_click_log",
    "prepare_avazu",
    "prepare_criteo",
    "prepare_frappe",
    "prepare_movielens",
    "prepare_table",
    "split_rows",
]


def __getattr__(name: str) -> object:
    kind = name.removeprefix("prepare_")
    if name == kind or kind not in FORMATS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{kind}"), name)
