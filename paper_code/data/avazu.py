"""The Avazu Click-Through Rate Prediction contest's `train`: 22 categorical fields (Table 2)."""

from pathlib import Path

from paper_code.data.encoding import LogFormat, PreparedLog, prepare_log

AVAZU = LogFormat(
    separator=",",
    label="click",
    fields=(
        *("hour", "C1", "banner_pos", "site_id", "site_domain", "site_category", "app_id", "app_domain"),
        *("app_category", "device_id", "device_ip", "device_model", "device_type", "device_conn_type"),
        *(f"C{i}" for i in range(14, 22)),
    ),
    has_header=True,
)


def prepare_avazu(
    path: str | Path, folder: str | Path, *, name: str = "avazu", threshold: int = 4, **options
) -> PreparedLog:
    """Encode Avazu's raw log: the columns `click` and hour, C1, banner_pos, ..., C21, comma separated.

    The header in line 1 tells which column is which, so they may stand in any order; other columns, `id` among them,
    are not used. The hour is a category like the others, as it stands in the file. The other options, the output and
    the errors are those of `prepare_log`.
    """
    return prepare_log(path, folder, AVAZU, name=name, threshold=threshold, **options)
