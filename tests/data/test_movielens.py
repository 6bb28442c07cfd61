"""MovieLens-1M becomes the click log of its protocol, and a file that breaks its format is named."""

import errno
import re
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_code.data import load_click_log, prepare_movielens

FILES = {
    "ratings.dat": ["1::10::5::978300760", "1::20::3::0", "2::10::1::0", "2::20::4::0", "2::30::2::0", "3::10::4::0"],
    "users.dat": ["1::F::1::10::48067", "2::M::56::16::70072", "3::M::25::15::70072"],
    "movies.dat": [
        "10::Misérables, Les (1995)::Drama|Musical",
        "20::2001: A Space Odyssey (1968)::Drama",
        "30::Seven (Se7en) (1995)::Crime|Drama",
    ],
}


def write(folder, **changes) -> object:
    """The three files in `folder`, of which some have other lines."""
    folder.mkdir(parents=True)
    for name, lines in FILES.items():
        lines = changes.get(name.removesuffix(".dat"), lines)
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="latin-1")
    return folder


def pack(folder, archive) -> object:
    with zipfile.ZipFile(archive, "w") as packed:
        for path in folder.iterdir():
            packed.write(path, f"ml-1m/{path.name}")
    return archive


def test_every_value_of_a_row_is_that_of_its_user_and_movie(tmp_path):
    log = prepare_movielens(write(tmp_path / "ml-1m"), tmp_path / "log")
    assert log.name == "movielens"
    assert [field.name for field in log.fields] == [
        *("user", "movie", "gender", "age", "occupation", "zip_code", "genres", "year")
    ]
    assert log.labels.tolist() == [1, 0, 1, 0, 1]  # the rating of 3 is gone
    rows = {
        "user": "12223",
        "movie": ["10", "10", "20", "30", "10"],
        "gender": "FMMMM",
        "age": ["1", "56", "56", "56", "25"],
        "occupation": ["10", "16", "16", "16", "15"],
        "zip_code": ["48067", "70072", "70072", "70072", "70072"],
        "genres": ["Drama|Musical", "Drama|Musical", "Drama", "Crime|Drama", "Drama|Musical"],
        "year": ["1995", "1995", "1968", "1995", "1995"],
    }
    for field, ids in zip(log.fields, log.ids.T, strict=True):
        values = list(rows[field.name])
        by_count = sorted(set(values), key=lambda value: (-values.count(value), value))
        assert [by_count[i] for i in ids] == values
        assert field.cardinality == len(by_count)


def test_the_archive_and_its_folder_give_the_same_log(tmp_path):
    folder = write(tmp_path / "ml-1m")
    from_folder = prepare_movielens(folder, tmp_path / "log")
    from_archive = prepare_movielens(pack(folder, tmp_path / "ml-1m.zip"), tmp_path / "log")
    assert from_archive.source["file"] == "ml-1m.zip"
    assert from_archive.fingerprint == from_folder.fingerprint
    assert load_click_log(tmp_path / "log").fingerprint == from_folder.fingerprint


def test_without_ids_the_rows_and_the_other_fields_are_the_same(tmp_path):
    folder = write(tmp_path / "ml-1m")
    usual = prepare_movielens(folder, tmp_path / "usual")
    without = prepare_movielens(folder, tmp_path / "without", without_ids=True)
    assert without.fields == usual.fields[2:]
    assert np.array_equal(without.ids, usual.ids[:, 2:])
    assert np.array_equal(without.labels, usual.labels)
    assert without.fingerprint != usual.fingerprint


def read_row_by_row(folder) -> tuple[list[int], list[list[str]]]:
    """Labels and values, one rating at a time."""

    def lines(name: str) -> list[list[str]]:
        text = (folder / name).read_bytes().decode("latin-1")
        return [line.removesuffix("\r").split("::") for line in text.removesuffix("\n").split("\n")]

    users = {user: values for user, *values in lines("users.dat")}
    movies = {movie: [genres, re.search(r"\((....)\)\s*$", title)[1]] for movie, title, genres in lines("movies.dat")}
    labels, rows = [], []
    for user, movie, rating, _ in lines("ratings.dat"):
        if rating != "3":
            labels.append(int(rating in "45"))
            rows.append([user, movie, *users[user], *movies[movie]])
    return labels, rows


TEXT = st.text(st.characters(codec="latin-1", exclude_characters=":", exclude_categories=["Cc"]), max_size=5)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_log_is_encoded_as_row_by_row(tmp_path_factory, data):
    users = data.draw(st.dictionaries(TEXT, st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=4))
    titles = st.builds("{} ({}){}".format, TEXT, st.integers(1900, 2030), st.sampled_from(["", " "]))
    movies = data.draw(st.dictionaries(TEXT, st.tuples(titles, TEXT), min_size=1, max_size=4))
    pairs = st.tuples(st.sampled_from([*users]), st.sampled_from([*movies]))
    drawn = data.draw(st.lists(st.tuples(pairs, st.sampled_from("12345")), max_size=30))
    ratings = [(data.draw(pairs), "1"), *drawn, (data.draw(pairs), "5")]
    files = {
        "ratings": ["::".join([*pair, rating, "0"]) for pair, rating in ratings],
        "users": ["::".join([user, *values]) for user, values in users.items()],
        "movies": ["::".join([movie, *values]) for movie, values in movies.items()],
    }
    folder = write(tmp_path_factory.mktemp("any") / "ml-1m", **files)
    if data.draw(st.booleans(), "lines end as on Windows"):
        for path in folder.iterdir():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    log = prepare_movielens(folder, folder.parent / "log")
    labels, rows = read_row_by_row(folder)
    assert log.labels.tolist() == labels
    assert log.ids.shape == (len(rows), 8)
    for field, ids, values in zip(log.fields, log.ids.T, zip(*rows, strict=True), strict=True):
        by_count = sorted(set(values), key=lambda value: (-values.count(value), value))
        assert [by_count[i] for i in ids] == [*values]
        assert field.cardinality == len(by_count)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ratings": ["1::10::5::0", "1::10::5"]}, r"ratings.dat: line 2: found '1::10::5', expected 4 columns"),
        ({"ratings": ["1::10::6::0"]}, "ratings.dat: line 1: found '6', expected a rating from 1 to 5"),
        ({"ratings": ["1::10::4.5::0"]}, "ratings.dat: line 1: found '4.5', expected a rating from 1 to 5"),
        ({"ratings": [*FILES["ratings.dat"], "9::10::5::0"]}, "line 7: found '9', expected a user of users.dat"),
        ({"ratings": ["1::99::5::0"]}, "line 1: found '99', expected a movie of movies.dat"),
        ({"ratings": ["1::10::5::0", "2::10::4::0"]}, "found 2 rows, all with label 1, expected rows of both"),
        ({"ratings": ["1::10::3::0"]}, "found no row, expected rows of both labels"),
        ({"ratings": []}, "ratings.dat: line 1: found '', expected 4 columns"),
        ({"users": [*FILES["users.dat"], "1::M::1::1::1"]}, "users.dat: line 1: found '1', expected each user once"),
        ({"movies": ["10::Toy Story::Comedy"]}, "movies.dat: line 1: found 'Toy Story', expected a title that ends"),
    ],
)
def test_what_breaks_the_format_is_named_and_nothing_is_written(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        prepare_movielens(write(tmp_path / "ml-1m", **changes), tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_an_archive_without_the_files_or_broken_is_named(tmp_path):
    folder = write(tmp_path / "ml-1m")
    archive = pack(folder, tmp_path / "ml-1m.zip")
    whole = archive.read_bytes()
    (folder / "users.dat").unlink()
    with pytest.raises(ValueError, match=r"ml-1m: has no file of the name users\.dat, expected one of each: ratings"):
        prepare_movielens(folder, tmp_path / "log")
    with pytest.raises(ValueError, match=r"other\.zip: has no file of the name users\.dat"):
        prepare_movielens(pack(folder, tmp_path / "other.zip"), tmp_path / "log")
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as packed:
        for file in ("a/users.dat", "b/users.dat", "ratings.dat", "movies.dat"):
            packed.writestr(file, "")
    with pytest.raises(
        ValueError, match=r"twice\.zip: has 2 files \(a/users\.dat, b/users\.dat\) of the name users\.dat"
    ):
        prepare_movielens(tmp_path / "twice.zip", tmp_path / "log")
    archive.write_bytes(whole.replace(b"978300760", b"978300761"))
    with pytest.raises(ValueError, match=r"ml-1m\.zip: a broken or encrypted zip archive \(Bad CRC"):
        prepare_movielens(archive, tmp_path / "log")
    archive.write_bytes(whole[:100])
    with pytest.raises(ValueError, match=r"ml-1m\.zip: is no zip archive, expected one with ratings\.dat"):
        prepare_movielens(archive, tmp_path / "log")
    with pytest.raises(FileNotFoundError, match=r"absent\.zip"):
        prepare_movielens(tmp_path / "absent.zip", tmp_path / "log")


def test_an_archive_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    archive = pack(write(tmp_path / "ml-1m"), tmp_path / "ml-1m.zip")
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    monkeypatch.setattr("paper_code.data.in_memory.LARGEST_MEMBER", 60)
    with pytest.raises(ValueError, match=r"ratings\.dat has more than 60 bytes: unpack the archive first"):
        prepare_movielens(archive, tmp_path / "log")


def test_an_error_of_the_file_system_is_not_called_one_of_the_archive(tmp_path, monkeypatch):
    archive = pack(write(tmp_path / "ml-1m"), tmp_path / "ml-1m.zip")

    def fails(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "read", fails)
    with pytest.raises(OSError, match="Input/output error"):
        prepare_movielens(archive, tmp_path / "log")


def test_the_raw_files_are_not_replaced_by_the_log(tmp_path):
    folder = write(tmp_path / "log" / "ml-1m")
    (tmp_path / "log" / "log.json").write_text("{}")
    with pytest.raises(ValueError, match=r"lies in .*, which is to be replaced"):
        prepare_movielens(folder, tmp_path / "log")
    assert folder.is_dir()


def test_the_real_log(real_data, tmp_path):
    """739,012 rows and 13,559 values, each of which has an id of its own."""
    log = prepare_movielens(real_data / "movielens" / "ml-1m.zip", tmp_path / "log")
    assert log.rows == 739_012
    assert log.labels.mean() == pytest.approx(0.778, abs=0.0005)
    assert dict(zip([field.name for field in log.fields], log.cardinalities, strict=True)) == {
        **{"user": 6_040, "movie": 3_668, "gender": 2, "age": 7, "occupation": 21},
        **{"zip_code": 3_439, "genres": 301, "year": 81},
    }
    assert sum(log.cardinalities) == 13_559
