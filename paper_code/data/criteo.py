"""The Criteo Display Advertising Challenge's `train.txt`: 13 integer and 26 categorical fields (Table 2)."""

from pathlib import Path

from paper_code.data.encoding import LogFormat, PreparedLog, prepare_log

INTEGER_FIELDS = tuple(f"I{i}" for i in range(1, 14))
CATEGORICAL_FIELDS = tuple(f"C{i}" for i in range(1, 27))
CRITEO = LogFormat(
    separator="\t", label="label", fields=INTEGER_FIELDS + CATEGORICAL_FIELDS, integer_fields=INTEGER_FIELDS
)


def prepare_criteo(
    path: str | Path, folder: str | Path, *, name: str = "criteo", threshold: int = 10, **options
) -> PreparedLog:
    """Encode Criteo's raw log: the label, I1 to I13 and C1 to C26 of each line, tab separated, without a header.

    An integer v > 2 becomes floor(ln(v)^2), which is 1 or more, and v <= 2 becomes v - 2: 2, 1, 0 and -1 are 0, -1, -2
    and -3 and share nothing with the larger ones, as in the released code. A missing integer is a value of its own, and
    so is an empty category. The other options, the output and the errors are those of `prepare_log`.
    """
    return prepare_log(path, folder, CRITEO, name=name, threshold=threshold, **options)
