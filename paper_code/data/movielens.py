"""MovieLens-1M as a click log: does a user like a movie, given both and what is known of them?"""

from pathlib import Path

import polars as pl

from paper_code.data.click_log import ClickLog, write_log
from paper_code.data.in_memory import (
    check_both_classes,
    check_outside,
    encode_frame,
    read_members,
    read_table,
    refuse,
    sha256_of,
)

COLUMNS = {
    "ratings.dat": ("user", "movie", "rating", "time"),
    "users.dat": ("user", "gender", "age", "occupation", "zip_code"),
    "movies.dat": ("movie", "title", "genres"),
}
FIELDS = ("user", "movie", "gender", "age", "occupation", "zip_code", "genres", "year")
IDS = ("user", "movie")


def prepare_movielens(
    path: str | Path, folder: str | Path, *, name: str = "movielens", without_ids: bool = False
) -> ClickLog:
    """Encode MovieLens-1M, `ml-1m.zip` or its folder, and write it to `folder`.

    A rating of 3 is dropped; the label is 1 for 4 and 5, 0 for 1 and 2. Fields: user, movie, gender, age, occupation,
    ZIP code, the combination of genres as one value, and the year, which ends the title. The last six are functions of
    the first two. The time is not used. The complete log has 739,012 rows, and 13,559 values: all that are left when
    the ratings of 3 are gone have an id, none is rare (threshold 1).

    without_ids: leave out the fields user and movie.

    Source: Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5 (4), 2015.
    Raises OSError if a file cannot be read or written, ValueError, which names file and line, if it breaks its format.
    """
    path, folder = Path(path), Path(folder)
    check_outside(path, folder)
    members = read_members(path, tuple(COLUMNS))
    ratings, users, movies = (
        read_table(path, name, members[name].decode("latin-1"), "::", columns) for name, columns in COLUMNS.items()
    )
    movies = movies.with_columns(year=pl.col("title").str.extract(r"\((\d{4})\)\s*$"))
    refuse(path, "ratings.dat", ratings, "rating", ~pl.col("rating").is_in(list("12345")), "a rating from 1 to 5")
    refuse(path, "movies.dat", movies, "title", pl.col("year").is_null(), "a title that ends with its year, (1995)")
    for table, key, file in ((users, "user", "users.dat"), (movies, "movie", "movies.dat")):
        refuse(path, file, table, key, pl.col(key).is_duplicated(), f"each {key} once")
        refuse(path, "ratings.dat", ratings, key, ~pl.col(key).is_in(table[key].implode()), f"a {key} of {file}")
    rows = ratings.filter(pl.col("rating") != "3")
    for table, key in ((users, "user"), (movies, "movie")):
        rows = rows.join(table.drop("line"), on=key, how="left", maintain_order="left")
    labels = rows.select(pl.col("rating").is_in(["4", "5"]).cast(pl.UInt8)).to_series().to_numpy()
    check_both_classes(labels, path)
    fields, ids = encode_frame(rows.select(field for field in FIELDS if not (without_ids and field in IDS)))
    source = {"file": path.name, "sha256": sha256_of(members), "without_ids": without_ids}
    return write_log(folder, ClickLog(name, fields, ids, labels, 1, source))
