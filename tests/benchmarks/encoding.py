"""Encoding at full size: rows per second, memory and disk on a file whose values grow as Criteo's do.

    python tests/benchmarks/encoding.py ../shared/data/criteo/train_10k.txt
    python tests/benchmarks/encoding.py ../shared/data/criteo/train_10k.txt --rows 1000000 --csv encoding.csv

Writes a raw log of the rows wanted to a temporary folder: rows of the file given, drawn with replacement, by a seed.
The five fields that hold 98 % of Criteo's distinct values get new values in place of those that are not empty, the
others keep theirs. A new value is drawn from a law with a heavy tail, P(value > k) = (1 + k / c)^-(1 / b - 1), k = 0,
1, 2, ..., under which n rows have about D (n / N)^b distinct values: c is such that they are Criteo's D at its N = 45.8
million rows. One b is taken for all five, such that about Table 2's 1.08 million are then kept in all. (The largest
field keeps 320,000 of them, not the paper's 190,000: one law does not meet both.)

`prepare_criteo` then encodes the file in a process of its own. Peak memory is the most that this process holds, polars'
threads included (it has no children); the disk space is the most that lies in the output folder meanwhile.

Beside it stands the encoder that one would write first, of the same definition: rows by `str.split`, values by
dictionaries, in two passes. Both encode the first rows of the file, in turn, and must give the same ids.

From a tenth of the rows and all of them, it projects to Criteo's 45.8 million:

    time     per row, it grows by as much for ten times the rows as it did between the two sizes (larger vocabularies
             lie further from the processor), and not less than nothing
    memory   a constant and so many bytes a distinct value, through the two sizes
    disk     so many bytes a row

On a machine that does other work as well, CPU seconds tell more than seconds.
"""

import argparse
import itertools
import math
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
from tqdm import tqdm

from paper_code.data import load_click_log, prepare_criteo
from paper_code.data.criteo import CRITEO
from paper_code.published import STATISTICS
from paper_code.runs.machine import peak_memory, processor, reset_peak_memory

CRITEO_ROWS = 45_840_617
DISTINCT = {"C3": 10_131_227, "C12": 8_351_593, "C21": 7_046_547, "C16": 5_461_306, "C4": 2_202_608}
EXPONENT = 0.82
THRESHOLD = 10
ROWS_AT_ONCE = 250_000
COLUMNS = [CRITEO.label, *CRITEO.fields]
FOUR_DIGITS = pl.Series([f"{value:04x}" for value in range(1 << 16)])


class Encoded(NamedTuple):
    """What one encoding took: seconds, also of all processors; peak bytes of memory and on the disk; the sum of D_i."""

    rows: int
    seconds: float
    cpu_seconds: float
    memory: int
    disk: int
    cardinalities: int


def write_log(source: Path, path: Path, rows: int, seed: int) -> None:
    """Write the raw log described above, of rows drawn from `source`."""
    real = pl.read_csv(
        source,
        separator=CRITEO.separator,
        has_header=False,
        new_columns=COLUMNS,
        infer_schema=False,
        empty_string_is_null=False,
        quote_char=None,
    )
    random = np.random.default_rng(seed)
    with path.open("wb") as file:
        for start in tqdm(range(0, rows, ROWS_AT_ONCE), "writing", disable=None):
            drawn = real[random.integers(len(real), size=min(ROWS_AT_ONCE, rows - start))]
            drawn = drawn.with_columns(
                pl.when(pl.col(field) != "")
                .then(new_values(len(drawn), distinct, random))
                .otherwise(pl.lit(""))
                .alias(field)
                for field, distinct in DISTINCT.items()
            )
            drawn.write_csv(file, separator=CRITEO.separator, include_header=False, quote_style="never")


def new_values(size: int, distinct: int, random: np.random.Generator) -> pl.Series:
    """Values (size,) of 8 hexadecimal digits, of which Criteo's number of rows has about so many distinct ones."""
    b = EXPONENT
    # the number of distinct values is gamma(1 - b) (A n)^b if value k has the share A k^(-1 / b) for large k
    share = (distinct / math.gamma(1 - b)) ** (1 / b) / CRITEO_ROWS
    scale = (share * b / (1 - b)) ** (b / (1 - b))
    values = np.minimum(scale * (random.random(size) ** (-b / (1 - b)) - 1), 2.0**62).astype(np.uint64)
    digits = (values * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)  # spreads them over all 32 bits
    return FOUR_DIGITS.gather(digits >> np.uint64(16)) + FOUR_DIGITS.gather(digits & np.uint64(0xFFFF))


def kept_at_full_size() -> float:
    """How many values of the five fields are seen often enough in Criteo's number of rows, by the law above."""
    b = EXPONENT
    share = math.gamma(THRESHOLD - b) / math.gamma(1 - b) / math.gamma(THRESHOLD)
    return share * sum(DISTINCT.values())


def encode(path: Path, folder: Path) -> Encoded:
    """Encode with the package."""
    disk, ended = [], threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            disk.append(bytes_below(folder.parent))

    watcher = threading.Thread(target=watch)
    watcher.start()
    reset_peak_memory()
    started, cpu_started = time.perf_counter(), time.process_time()
    try:
        log = prepare_criteo(path, folder, threshold=THRESHOLD).log
    finally:
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        ended.set()
        watcher.join()
    disk.append(bytes_below(folder.parent))
    return Encoded(log.rows, seconds, cpu_seconds, peak_memory(), max(disk), sum(log.cardinalities))


def bytes_below(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # moved meanwhile
                total += os.stat(os.path.join(root, name)).st_blocks * 512
    return total


def encode_row_by_row(path: Path) -> tuple[np.ndarray, float]:
    """The ids (rows, fields) by the encoder that one would write first, and the seconds that it took."""
    started = time.perf_counter()
    counters = [Counter() for _ in CRITEO.fields]
    for tokens in rows_of_tokens(path):
        for counter, token in zip(counters, tokens, strict=True):
            counter[token] += 1
    vocabularies = []
    for counter in counters:
        kept = sorted((t for t, n in counter.items() if n >= THRESHOLD), key=lambda t, counts=counter: (-counts[t], t))
        vocabularies.append({token: id_ for id_, token in enumerate(kept, 1)})
    rows = [
        [vocabulary.get(token, 0) for vocabulary, token in zip(vocabularies, tokens, strict=True)]
        for tokens in rows_of_tokens(path)
    ]
    return np.array(rows, np.int32), time.perf_counter() - started


def rows_of_tokens(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            values = line.rstrip("\n").split("\t")[1:]
            for i in range(len(CRITEO.integer_fields)):
                if values[i]:
                    value = int(values[i])
                    values[i] = str(math.floor(math.log(value) ** 2) if value > 2 else value - 2)
            yield values


def in_process(function: Callable, *arguments):
    """The function's result, from a process of its own: it starts with the memory empty and leaves none behind."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()  # an error, not a wait, if the process runs out of memory


def first_rows(path: Path, rows: int, out: Path) -> Path:
    with path.open("rb") as source, out.open("wb") as file:
        file.writelines(itertools.islice(source, rows))
    return out


def distinct_values(rows: int) -> float:
    """How many distinct values the five fields have together, by the law above."""
    return sum(DISTINCT.values()) * (rows / CRITEO_ROWS) ** EXPONENT


def projected(tenth: Encoded, full: Encoded) -> Encoded:
    """What Criteo's number of rows would take, see above."""

    def grown(tenth_seconds: float, full_seconds: float) -> float:
        growth = max(0, full_seconds / full.rows - tenth_seconds / tenth.rows) / math.log(full.rows / tenth.rows)
        return CRITEO_ROWS * (full_seconds / full.rows + growth * math.log(CRITEO_ROWS / full.rows))

    values = [distinct_values(rows) for rows in (tenth.rows, full.rows, CRITEO_ROWS)]
    of_value = (full.memory - tenth.memory) / (values[1] - values[0])
    return Encoded(
        CRITEO_ROWS,
        grown(tenth.seconds, full.seconds),
        grown(tenth.cpu_seconds, full.cpu_seconds),
        round(full.memory + of_value * (values[2] - values[1])),
        round(full.disk * CRITEO_ROWS / full.rows),
        0,
    )


def compare(path: Path, folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Rows per second of ours and of the row-by-row encoder, in turn; AssertionError if their ids differ."""
    ours, theirs = [], []
    for _ in range(rounds):
        encoded = in_process(encode, path, folder)
        ids, seconds = in_process(encode_row_by_row, path)
        assert np.array_equal(ids, load_click_log(folder).ids), "the two encoders give different ids"
        ours.append(encoded.rows / encoded.seconds)
        theirs.append(encoded.rows / seconds)
    return ours, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="real rows in Criteo's layout, plain or gzip")
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the file written; default: %(default)s")
    parser.add_argument("--first", type=int, default=500_000, help="rows encoded row by row; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="of both encoders in turn; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the rows and values drawn; default: %(default)s")
    parser.add_argument("--folder", type=Path, help="where the temporary files go; default: the system's")
    parser.add_argument("--csv", type=Path, help="write the rows to this file too, in place of what it holds")
    options = parser.parse_args()
    if options.rows < 10 or options.rounds < 1 or not 1 <= options.first <= options.rows:
        parser.error("rows is at least 10, rounds at least 1, first at least 1 and at most rows")
    setting = {
        "hardware": processor(),
        "threads": pl.thread_pool_size(),
        "polars": pl.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }
    print("{hardware}; polars {polars}, {threads} threads".format(**setting))
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        raw, folder = Path(temporary) / "raw.txt", Path(temporary) / "encoded" / "log"
        write_log(options.source, raw, options.rows, options.seed)
        print(f"raw log of {options.rows:,} rows, {raw.stat().st_size / options.rows:.0f} bytes a row")

        first = first_rows(raw, options.first, Path(temporary) / "first.txt")
        ours, theirs = compare(first, folder, options.rounds)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        print(
            f"first {options.first:,} rows, the same ids: ours {statistics.median(ours):,.0f} rows/s, row by row "
            f"{statistics.median(theirs):,.0f}; ratio {statistics.median(ratios):.1f} "
            f"({min(ratios):.1f} to {max(ratios):.1f}) over {options.rounds} rounds"
        )

        tenth_log = first_rows(raw, options.rows // 10, Path(temporary) / "tenth.txt")
        tenth, full = (
            in_process(encode, path, Path(temporary) / f"encoded_{path.stem}" / "log") for path in (tenth_log, raw)
        )
    print(
        f"{'':<10}{'rows':>12}{'seconds':>10}{'CPU s':>10}{'rows/s':>10}{'peak MiB':>10}{'disk MiB':>10}{'sum D_i':>12}"
    )
    rows = []
    for what, encoded in (("a tenth", tenth), ("all", full), ("projected", projected(tenth, full))):
        print(
            f"{what:<10}{encoded.rows:>12,}{encoded.seconds:>10.1f}{encoded.cpu_seconds:>10.1f}"
            f"{encoded.rows / encoded.seconds:>10,.0f}{encoded.memory / 2**20:>10,.0f}{encoded.disk / 2**20:>10,.0f}"
            f"{encoded.cardinalities or '':>12}"
        )
        rows.append({"what": what, **encoded._asdict(), "ratio": statistics.median(ratios), **setting})
    print(
        f"by the law {kept_at_full_size():,.0f} values of the five fields are kept of {CRITEO_ROWS:,} rows; "
        f"Table 2 has {STATISTICS['Criteo']['sum']:,} of all fields"
    )
    if options.csv:
        options.csv.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
