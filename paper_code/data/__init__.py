"""Click logs: encoded from raw files or generated from a seed."""

from paper_code.data.avazu import prepare_avazu
from paper_code.data.click_log import ClickLog, Field, Split, load_click_log, split_rows
from paper_code.data.criteo import prepare_criteo
from paper_code.data.frappe import prepare_frappe
from paper_code.data.movielens import prepare_movielens
from paper_code.data.synthetic import avazu_like, criteo_like
from paper_code.data.table import prepare_table

SYNTHETIC_LOGS = {"criteo_like": criteo_like, "avazu_like": avazu_like}

__all__ = [
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
