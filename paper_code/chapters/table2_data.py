"""Table 2: the logs' statistics."""

from collections.abc import Sequence

import pandas as pd

from paper_code.data import SYNTHETIC_LOGS
from paper_code.published import STATISTICS
from paper_code.runs.logs import data_config, load_data
from paper_code.runs.profiles import PROFILES, find, seeds_of


def statistics_table(
    profile: str, seeds: Sequence[int] | str | None = None, datasets: Sequence[str] = ()
) -> pd.DataFrame:
    """Table 2: the paper's data sets, the synthetic logs (the profile's, of the first seed) and prepared logs."""
    settings, rows = find("profile", profile, PROFILES), []
    for name, known in STATISTICS.items():
        rows.append((name, "published", *(known[key] for key in ("rows", "fields", "sum", "largest", "smallest"))))
    for name in [*SYNTHETIC_LOGS, *(name for name in datasets if name not in SYNTHETIC_LOGS)]:
        config = data_config(name, seeds_of(profile, seeds)[0], settings.rows, settings.test_rows)
        log, synthetic = load_data(config), name in SYNTHETIC_LOGS
        sizes = log.cardinalities
        kind = "synthetic" if synthetic else "prepared"
        rows.append((name, kind, log.rows - log.test_rows, len(sizes), sum(sizes), max(sizes), min(sizes)))
    table = pd.DataFrame(rows, columns=["data set", "what", "#Instances", "#Fields", "sum D_i", "max D_i", "min D_i"])
    numbers = table.columns[2:]
    table[numbers] = table[numbers].map(lambda value: f"{value:,.0f}")
    return table
