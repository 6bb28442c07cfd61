"""Frappe as a click log: did a user open an app in this context?"""

from pathlib import Path

import numpy as np
import polars as pl

from paper_code.data.click_log import ClickLog, write_log
from paper_code.data.in_memory import check_outside, encode_frame, read_members, read_table, sha256_of

FIELDS = ("user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")
NEGATIVES = 2
SPLITS = {"pair": ("user", "item"), "random": ()}


def prepare_frappe(
    path: str | Path, folder: str | Path, *, name: str = "frappe", split: str = "pair", seed: int = 0
) -> ClickLog:
    """Encode Frappe, `Mobile_Frappe.zip`, its folder or `frappe.csv`, and write it to `folder`.

    All events of the file are positive. Each gets two negatives in the same context: two apps drawn uniformly, by
    `seed`, among those that the user never used. The count of uses (`cnt`) is not used. The complete log has 96,203
    positives, 288,609 rows, and 5,382 values, each of which has an id (threshold 1).

    split: "pair" keeps all rows of a user and an app in one part of the split; "random" does not: then nine of ten
    positives of the test part repeat a user and an app of the training rows, and no negative does.

    Source: Baltrunas, Church, Karatzoglou and Oliver, "Frappe: Understanding the Usage and Perception of Mobile App
    Recommendations In-The-Wild", arXiv 1505.03014.
    Raises OSError if a file cannot be read or written, ValueError, which names the file, if it breaks its format.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, expected one of {', '.join(SPLITS)}")
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected 0 or more")
    path, folder = Path(path), Path(folder)
    check_outside(path, folder)
    members = read_members(path, ("frappe.csv",))
    events = read_events(path, members["frappe.csv"])
    fields, ids = encode_frame(events)
    user, item = ids[:, FIELDS.index("user")], ids[:, FIELDS.index("item")]
    ids = np.repeat(ids[:, None], 1 + NEGATIVES, axis=1)
    ids[:, 1:, FIELDS.index("item")] = draw_unused(path, user, item, np.random.default_rng(seed))
    labels = np.tile(np.array([1] + [0] * NEGATIVES, np.uint8), len(events))
    source = {"file": path.name, "sha256": sha256_of(members), "negatives": NEGATIVES, "seed": seed}
    log = ClickLog(name, fields, ids.reshape(-1, len(FIELDS)), labels, 1, source, split_by=SPLITS[split])
    return write_log(folder, log)


def read_events(path: Path, data: bytes) -> pl.DataFrame:
    """The fields of every event, as text."""
    table = read_table(path, "frappe.csv", data.decode("utf-8-sig", "replace"), "\t")
    if missing := [field for field in FIELDS if field not in table.columns]:
        raise ValueError(
            f"{path}: frappe.csv: line 1: found the columns {', '.join(table.columns[1:])[:200]}, expected also "
            f"{', '.join(missing)}, separated by tabs"
        )
    if not len(table):
        raise ValueError(f"{path}: frappe.csv: found no rows, expected events below the header")
    return table.select(FIELDS)


def draw_unused(path: Path, user: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Different items (events, NEGATIVES) for each event of `user` and `item` (events,) that the user never used.

    Drawn uniformly: those that will not do are drawn again.
    """
    items = int(item.max()) + 1
    used = np.unique(user.astype(np.int64) * items + item)
    most = np.bincount(used // items).max()
    if most + NEGATIVES > items:
        raise ValueError(
            f"{path}: a user has used {most} of the {items} apps, expected at least {NEGATIVES} others as negatives"
        )
    drawn = np.full((len(user), NEGATIVES), -1)
    wrong = np.ones(drawn.shape, bool)
    while wrong.any():
        drawn[wrong] = rng.integers(items, size=wrong.sum())
        wrong = np.isin(user[:, None].astype(np.int64) * items + drawn, used)
        for column in range(1, NEGATIVES):
            wrong[:, column] |= (drawn[:, :column] == drawn[:, column, None]).any(axis=1)
    return drawn
