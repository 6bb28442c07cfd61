"""The files of a release, made of the commit that is checked out: see `make release`."""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from paper_code.runs.config import PROJECT_FOLDER
from paper_code.runs.profiles import RESULTS_FOLDER

NAME = "embedding-collapse-companion"
SUMS = "SHA256SUMS"


def release(target: Path, built: Path, builder: str, project: Path = PROJECT_FOLDER) -> list[Path]:
    """Write wheel, source distribution, the book as archive and as PDF, the records' archive, and their SHA-256 sums.

    target: a folder, new or of an earlier release. built: the folder with the book's archive and PDF. builder: a Python
    that has the package `build`. The same commit gives the same bytes. Raises RuntimeError if the checkout is not that
    of a commit, or its package cannot be built; FileNotFoundError if the book is not built.
    """
    if changed := git(project, "status", "--porcelain").strip():
        raise RuntimeError(f"a release is that of a commit; commit or remove first:\n{changed}")
    book = [built / f"{NAME}.{ending}" for ending in ("zip", "pdf")]
    for path in book:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: `make release` builds it")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    time = int(git(project, "log", "-1", "--format=%ct"))
    build_package(project, target, builder, time)
    for path in book:
        shutil.copyfile(path, target / path.name)
    records = target / f"{NAME}-records.zip"
    archive = ("archive", "--format=zip", f"--prefix={NAME}-records/", f"--output={records}", "HEAD")
    git(project, *archive, RESULTS_FOLDER, "book/LICENSE-text")
    files = sorted(target.iterdir())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (target / SUMS).write_text("".join(sums), encoding="utf-8")
    return [*files, target / SUMS]


def git(project: Path, *arguments: str) -> str:
    command, environment = ["git", "-C", str(project), *arguments], os.environ | {"TZ": "UTC"}  # zip has local times
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def build_package(project: Path, target: Path, builder: str, time: int) -> None:
    """Wheel and source distribution from the committed files alone, dated by the commit."""
    with tempfile.TemporaryDirectory() as temporary:
        content = subprocess.run(["git", "-C", str(project), "archive", "HEAD"], capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(temporary, filter="data")
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(time)}
        command = [builder, "-m", "build", "--outdir", str(target), temporary]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the package cannot be built:\n{(done.stdout + done.stderr)[-2000:]}")
    for path in target.glob("*.tar.gz"):
        date_members(path, time)


def date_members(path: Path, time: int) -> None:
    """Give all members of a .tar.gz the time, and nobody's name, in the order of their names."""
    with tarfile.open(path) as archive:
        members = [(member, archive.extractfile(member)) for member in archive.getmembers()]
        contents = sorted(((m, f.read() if f else b"") for m, f in members), key=lambda pair: pair[0].name)
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=time) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for member, content in contents:
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.size, plain.mtime = member.type, len(content), time
            plain.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            archive.addfile(plain, io.BytesIO(content))
