"""A release is of one commit, and the same commit gives the same bytes."""

import gzip
import hashlib
import os
import subprocess
import tarfile
import time
import zipfile

import pytest

from paper_code.book.build import undate
from paper_code.book.release import NAME, SUMS, date_members, release

BUILDER = """#!/bin/sh
# stands in for `python -m build --outdir FOLDER PROJECT`: what it writes has the time of now
date +%N > "$5/now"
tar --create --gzip --file "$4/package-1.0.tar.gz" --directory "$5" package.py
cp "$5/package.py" "$4/package-1.0.whl"
"""


def git(folder, *arguments) -> None:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path):
    """A project with a commit, a builder and a built book; the release of it into a folder of that name."""
    folder = tmp_path / "project"
    for name in ("figures/data/runs/log/record.json", "book/LICENSE-text", "package.py"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    builder = tmp_path / "builder"
    builder.write_text(BUILDER)
    builder.chmod(0o755)
    (tmp_path / "built").mkdir()
    for ending in ("zip", "pdf"):
        (tmp_path / "built" / f"{NAME}.{ending}").write_text(ending)
    return folder


def released(project, name: str):
    target = project.parent / name
    release(target, project.parent / "built", str(project.parent / "builder"), project)
    return {path.name: path.read_bytes() for path in target.iterdir()}


def test_a_commit_gives_the_same_bytes_whenever_it_is_released(project):
    first = released(project, "first")
    time.sleep(1.1)  # the times in archives are whole seconds
    os.utime(project / "package.py", (0, 0))
    assert released(project, "second") == first


def test_the_sums_are_those_of_all_other_files(project):
    files = released(project, "first")
    lines = files.pop(SUMS).decode().splitlines()
    assert lines == [f"{hashlib.sha256(files[name]).hexdigest()}  {name}" for name in sorted(files)]
    assert sorted(files) == [
        *(f"{NAME}-records.zip", f"{NAME}.pdf", f"{NAME}.zip"),
        *("package-1.0.tar.gz", "package-1.0.whl"),
    ]


def test_the_archive_of_the_records_has_their_licence(project):
    released(project, "first")
    with zipfile.ZipFile(project.parent / "first" / f"{NAME}-records.zip") as archive:
        files = [name for name in archive.namelist() if not name.endswith("/")]
    assert files == [f"{NAME}-records/{name}" for name in ("book/LICENSE-text", "figures/data/runs/log/record.json")]


def test_an_earlier_release_is_replaced_whole(project):
    target = project.parent / "first"
    target.mkdir()
    (target / "package-0.9.whl").write_text("old")
    assert "package-0.9.whl" not in released(project, "first")


@pytest.mark.parametrize("name", ["package.py", "new.py"])
def test_what_is_not_committed_is_not_released(project, name):
    (project / name).write_text("changed")
    with pytest.raises(RuntimeError, match=f"commit or remove first:\n.*{name}"):
        released(project, "first")
    assert not (project.parent / "first").exists()


def test_a_book_that_is_not_built_is_named(project):
    (project.parent / "built" / f"{NAME}.pdf").unlink()
    with pytest.raises(FileNotFoundError, match=f"{NAME}.pdf is missing: `make release` builds it"):
        released(project, "first")


def test_a_package_that_cannot_be_built_says_why(project):
    (project.parent / "builder").write_text("#!/bin/sh\necho no setuptools here; exit 1\n")
    with pytest.raises(RuntimeError, match="cannot be built:\nno setuptools here"):
        released(project, "first")


def test_a_dated_archive_has_the_same_files_and_nobodys_name(tmp_path):
    path = tmp_path / "some.tar.gz"
    (tmp_path / "b.sh").write_text("run")
    (tmp_path / "b.sh").chmod(0o700)
    (tmp_path / "a").mkdir()
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "b.sh", "b.sh")
        archive.add(tmp_path / "a", "a")
    date_members(path, 7)
    with tarfile.open(path) as archive:
        found = {m.name: (m.mode, m.mtime, m.uid, m.uname, m.isdir()) for m in archive}
        assert archive.extractfile("b.sh").read() == b"run"
    assert found == {"a": (0o755, 7, 0, "", True), "b.sh": (0o755, 7, 0, "", False)}
    with gzip.open(path) as file:
        file.read(1)
        assert file.mtime == 7


def test_a_pdf_loses_its_dates_and_nothing_else(tmp_path):
    path = tmp_path / "some.pdf"
    text = "/CreationDate (D:%s+00'00')\n/ModDate (D:%s+00'00')>>\n" + 1000 * " " + "/ModDate (D:20261128141305+00'00')"
    path.write_text(text % ("20261128141305", "20261128141306"))
    undate(path)
    assert path.read_text() == text % ("19800101000000", "19800101000000")
