"""Do the readers of files from strangers end with a result or a clear error, whatever the file?

    python -m tests.fuzz --number 100000 --seconds 900
    python -m tests.fuzz --readers .pt .npz --seed 1 --keep findings --csv fuzz.csv

Small valid files are damaged (bits flipped; bytes cut out, inserted, doubled; of an archive also inside a member that
is then packed again) and read: by `paper_code.diagnose` the forms of its `READERS` but for HDF5 and ONNX, which need
extras, by `prepare_criteo` and `prepare_avazu` raw logs. Input i of a seed is always the same. Allowed are a report and
a ValueError or OSError whose message has the file's name. Everything else is a finding, and so is a crash of the
process, more than 10 seconds, and more than 8 GB of address space. The exit status is 1 if there is one; --keep stores
the files.
"""

import argparse
import bz2
import gzip
import io
import lzma
import multiprocessing
import random
import resource
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save

from paper_code.data import prepare_avazu, prepare_criteo
from paper_code.data.avazu import AVAZU
from paper_code.diagnose import diagnose
from paper_code.runs.machine import commit

SECONDS = 10
ADDRESS_SPACE = 8 << 30
ROWS = 12
KINDS = ("read", "refused", "finding")


def valid_files() -> dict[str, list[bytes]]:
    """Suffix -> small valid files; `.criteo` and `.avazu` are raw logs."""
    draw = np.random.default_rng(0)
    matrix = draw.standard_normal((ROWS, 4)).astype(np.float32)
    tensor = torch.from_numpy(matrix)
    state = {"embedding.weight": tensor, "half.emb": tensor.bfloat16(), "linear.bias": torch.zeros(3)}
    lists = pa.table({"id": range(ROWS), "embedding": pa.array(matrix.tolist(), pa.list_(pa.float32()))})
    fixed = pa.table({"embedding": pa.array(matrix.tolist(), pa.list_(pa.float32(), 4))})
    columns = pa.table({"name": ["a"] * ROWS, "x": matrix[:, 0], "y": matrix[:, 1]})
    criteo = "".join(
        "\t".join([str(i % 2), *map(str, draw.integers(-2, 9, 13)), *draw.choice(["a", "b", ""], 26)]) + "\n"
        for i in range(ROWS)
    ).encode()
    header = ["id", AVAZU.label, *AVAZU.fields]
    avazu = "".join(",".join(map(str, row)) + "\n" for row in [header, *draw.integers(0, 2, (ROWS, 24))]).encode()

    typed = pl.read_csv(criteo, separator="\t", has_header=False).to_arrow()
    zipped, tarred, entry = io.BytesIO(), io.BytesIO(), tarfile.TarInfo("train.txt")
    entry.size = len(criteo)
    with zipfile.ZipFile(zipped, "w") as archive, tarfile.open(fileobj=tarred, mode="w:xz") as tar:
        archive.writestr(zipfile.ZipInfo("train.txt"), criteo)
        tar.addfile(entry, io.BytesIO(criteo))

    def written(write, *values, **options) -> bytes:
        buffer = io.BytesIO()
        write(*((values[0], buffer) if write in (torch.save, pq.write_table) else (buffer, *values)), **options)
        return buffer.getvalue()

    return {
        ".pt": [
            written(torch.save, state),
            written(torch.save, {"model": state, "epoch": 3, "optimizer": {"lr": 0.1, "steps": [tensor]}}),
            written(torch.save, torch.nn.Linear(2, 3)),
            written(torch.save, state, _use_new_zipfile_serialization=False),
            written(torch.save, {"net": [state], "best_auc": np.float64(0.8), "vectors": matrix}),
        ],
        ".safetensors": [save(state, {"format": "pt"})],
        ".npy": [written(np.save, matrix), written(np.save, np.asfortranarray(matrix.astype(np.float16)))],
        ".npz": [
            written(np.savez, matrix, b=np.asfortranarray(matrix)),
            written(np.savez_compressed, a=matrix, b=matrix.astype(float)),
        ],
        ".parquet": [
            written(pq.write_table, lists, row_group_size=5),
            written(pq.write_table, fixed, compression="NONE"),
            written(pq.write_table, columns, use_dictionary=False, write_page_checksum=True),
        ],
        ".criteo": [
            *(criteo, gzip.compress(criteo, mtime=0), bz2.compress(criteo), lzma.compress(criteo)),
            *(zipped.getvalue(), tarred.getvalue(), written(pq.write_table, typed), criteo.decode().encode("utf-16")),
        ],
        ".avazu": [avazu, gzip.compress(avazu, mtime=0)],
    }


def damaged(data: bytes, draw: random.Random) -> bytes:
    """The bytes with one to six damages; of a zip archive half the time inside a member."""
    if data.startswith(b"PK") and draw.random() < 0.5:
        return with_damaged_member(data, draw)
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        if not data:
            break
        place = draw.randrange(len(data))
        part = slice(place, place + int(2 ** draw.uniform(0, 9)))
        kind = draw.randrange(6)
        if kind == 0:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[place] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, *b"09-[{(\"',\t\n"))
        elif kind == 2:
            del data[part]
        elif kind == 3:
            data[place:place] = draw.randbytes(part.stop - place)
        elif kind == 4:
            data[place:place] = data[part]
        elif draw.random() < 0.3:
            del data[place:]
    return bytes(data)


def with_damaged_member(data: bytes, draw: random.Random) -> bytes:
    """A zip archive, as it was but for one member."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        members = old.infolist()
        # the pickle of a checkpoint, or the first array, more often than the others
        chosen = draw.choice(members + [it for it in members if it.filename.endswith((".pkl", ".npy"))] * 3)
        for member in members:
            content = old.read(member)
            new.writestr(member, damaged(content, draw) if member is chosen else content)
    return packed.getvalue()


def input_of(number: int, seed: int, files: dict[str, list[bytes]]) -> tuple[str, bytes]:
    """Suffix and bytes of one input."""
    draw = random.Random(f"{seed}/{number}")
    suffix = draw.choice(list(files))
    return suffix, damaged(draw.choice(files[suffix]), draw)


def outcome(path: Path) -> str:
    """What comes of reading the file: read, refused, or else what is wrong with that."""
    try:
        prepare = {".criteo": prepare_criteo, ".avazu": prepare_avazu}.get(path.suffix)
        if prepare:
            prepare(path, path.parent / "encoded", progress=False)
        else:
            report = diagnose(path)
            str(report), report.to_json(), report.to_html()
    except (ValueError, OSError) as error:
        if path.name not in str(error):
            return f"{type(error).__name__} without the file's name: {error}"
        return f"out of memory: {error}" if "MemoryError" in str(error) else "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def read_inputs(start: int, stop: int, end: float, seed: int, suffixes: list[str], results) -> None:
    """Read the inputs of these numbers until the time `end`; send the outcome of each, and None when all is done."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    torch.set_num_threads(1)
    files = {suffix: data for suffix, data in valid_files().items() if suffix in suffixes}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(start, stop):
            if time.time() > end:
                break
            suffix, data = input_of(number, seed, files)
            path = Path(folder) / f"input{suffix}"
            path.write_bytes(data)
            results.send(outcome(path))
    results.send(None)


def outcomes(start: int, stop: int, end: float, seed: int, suffixes: list[str]) -> Iterator[str]:
    """The outcomes of the inputs of these numbers, until one ends the process that reads them or has no end."""
    processes = multiprocessing.get_context("spawn")
    results, sender = processes.Pipe(duplex=False)
    worker = processes.Process(target=read_inputs, args=(start, stop, end, seed, suffixes, sender), daemon=True)
    worker.start()
    sender.close()
    patience = 60  # for the imports
    while True:
        try:
            found = results.recv() if results.poll(patience) else f"no end within {patience} seconds"
        except EOFError:
            worker.join()
            found = f"the process ended with status {worker.exitcode}"
        if found is None:
            worker.join()
            return
        yield found
        if found.startswith(("no end", "the process")):
            worker.kill()
            worker.join()
            return
        patience = SECONDS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=100_000, help="of inputs (default: 100,000)")
    parser.add_argument("--seconds", type=float, default=900, help="stop after this time (default: 900)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="+", default=list(valid_files()), choices=list(valid_files()))
    parser.add_argument("--keep", type=Path, help="a folder for the inputs of findings")
    parser.add_argument("--csv", type=Path, help="write the counts to this file too")
    options = parser.parse_args()
    started, number, counts, findings = time.time(), 0, Counter(), 0
    end = started + options.seconds
    files = {suffix: data for suffix, data in valid_files().items() if suffix in options.readers}
    while number < options.number and time.time() < end:
        for found in outcomes(number, options.number, end, options.seed, options.readers):
            suffix, data = input_of(number, options.seed, files)
            kind = found if found in KINDS else "finding"
            counts[suffix, kind] += 1
            if kind == "finding":
                findings += 1
                print(f"input {number} ({suffix}): {found[:300]}", flush=True)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{number}{suffix}").write_bytes(data)
            number += 1
    rows = [{"reader": suffix} | {kind: counts[suffix, kind] for kind in KINDS} for suffix in options.readers]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    print(f"{number:,} inputs in {time.time() - started:.0f} seconds, {findings} findings")
    if options.csv:
        facts = commit() | {"seed": options.seed, "date": datetime.now(UTC).date().isoformat()}
        table.assign(**facts).to_csv(options.csv, index=False)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
