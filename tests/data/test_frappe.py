"""Frappe becomes the click log of its protocol: each event, and two apps that the user never used in its context."""

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_code.data import prepare_frappe

HEADER = "user\titem\tcnt\tdaytime\tweekday\tisweekend\thomework\tcost\tweather\tcountry\tcity"
CONTEXT = [name for name in HEADER.split("\t") if name not in ("user", "item", "cnt")]


def event(user: int, item: int, day: str = "sunday") -> str:
    return f"{user}\t{item}\t3\tmorning\t{day}\tweekend\tunknown\tfree\tsunny\tUnited States\t{user % 3}"


def write(path, events: list[str], header: str = HEADER):
    path.write_text("".join(f"{line}\n" for line in [header, *events]), encoding="utf-8")
    return path


EVENTS = [
    event(user, (user * user + 3 * k) % 12, day) for user in range(20) for k in range(5) for day in ("sunday", "monday")
]


@pytest.fixture
def raw(tmp_path):
    return write(tmp_path / "frappe.csv", EVENTS)


def columns_of(log, *names: str) -> np.ndarray:
    return log.ids[:, [[field.name for field in log.fields].index(name) for name in names]]


def test_each_event_has_two_negatives_in_its_context(raw, tmp_path):
    log = prepare_frappe(raw, tmp_path / "log")
    assert log.name == "frappe"
    assert [field.name for field in log.fields] == ["user", "item", *CONTEXT]
    assert log.ids.shape == (3 * len(EVENTS), 10)
    assert log.labels.reshape(-1, 3).tolist() == [[1, 0, 0]] * len(EVENTS)
    same = columns_of(log, "user", *CONTEXT).reshape(len(EVENTS), 3, -1)
    assert (same == same[:, :1]).all()
    items = columns_of(log, "item").reshape(-1, 3)
    assert (items[:, 1] != items[:, 2]).all()
    users = columns_of(log, "user").reshape(-1, 3)[:, 0]
    used = set(zip(users.tolist(), items[:, 0].tolist(), strict=True))
    assert len(used) == len({tuple(line.split("\t")[:2]) for line in EVENTS})
    for negatives in items[:, 1:].T:
        assert used.isdisjoint(zip(users.tolist(), negatives.tolist(), strict=True))


TEXT = st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), max_size=4)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_the_events_of_any_log_are_encoded_as_row_by_row(tmp_path_factory, data):
    """And no negative of a user is an app of an event of this user."""
    fields = ["user", "item", *CONTEXT]
    columns = data.draw(st.permutations([*fields, "cnt", "another"]))
    texts = data.draw(st.lists(TEXT, min_size=1, max_size=4))
    events = data.draw(st.lists(st.tuples(*[st.sampled_from(texts)] * len(columns)), min_size=1, max_size=20))
    # two more apps, which no one else uses, so that there are negatives for everyone
    events += [[f"one of {column}" for column in columns], [f"another of {column}" for column in columns]]
    lines = ["\t".join(event) for event in events]
    folder = tmp_path_factory.mktemp("any")
    text = data.draw(st.sampled_from(["\n", "\r\n"])).join(["\t".join(columns), *lines, ""])
    (folder / "frappe.csv").write_bytes(data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode())
    log = prepare_frappe(folder / "frappe.csv", folder / "log")
    rows = [dict(zip(columns, event, strict=True)) for event in events]
    assert [field.name for field in log.fields] == fields
    assert log.labels.tolist() == [1, 0, 0] * len(rows)
    for field, ids in zip(log.fields, log.ids.reshape(len(rows), 3, -1).transpose(2, 0, 1), strict=True):
        values = [row[field.name] for row in rows]
        by_count = sorted(set(values), key=lambda value: (-values.count(value), value))
        assert field.cardinality == len(by_count)
        found = [[by_count[i] for i in of_event] for of_event in ids]
        if field.name != "item":
            assert found == [[value] * 3 for value in values]
            continue
        for row, (item, *negatives) in zip(rows, found, strict=True):
            assert item == row["item"]
            assert len(set(negatives)) == 2
            assert not {*negatives} & {other["item"] for other in rows if other["user"] == row["user"]}


def test_negatives_are_uniform_over_the_apps_that_the_user_never_used(tmp_path):
    """One user of app 0 among ten apps, 4,000 times: each of the other nine is drawn alike, within 4.5 errors."""
    events = [*[event(1, 0)] * 4_000, *(event(2 + item, item) for item in range(10))]
    log = prepare_frappe(write(tmp_path / "frappe.csv", events), tmp_path / "log")
    drawn = columns_of(log, "item").reshape(-1, 3)[:4_000, 1:].ravel()
    counts = np.bincount(drawn, minlength=10)
    assert counts[0] == 0  # the app used most has the first id
    assert np.abs(counts[1:] - 8_000 / 9).max() < 4.5 * (8_000 / 9) ** 0.5


def test_the_seed_decides_the_negatives_alone(raw, tmp_path):
    first, again, other = (prepare_frappe(raw, tmp_path / f"log{i}", seed=seed) for i, seed in enumerate((0, 0, 1)))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert np.array_equal(first.ids, again.ids)
    assert not np.array_equal(first.ids, other.ids)
    assert np.array_equal(first.ids[::3], other.ids[::3])


def test_split_by_pair_or_at_random(raw, tmp_path):
    """By pair no user and app of the test rows is among the training rows, at random many are."""
    shared = {}
    for way in ("pair", "random"):
        log = prepare_frappe(raw, tmp_path / way, split=way)
        split, pairs = log.split(0), columns_of(log, "user", "item").tolist()
        train, test = ({tuple(pairs[row]) for row in part} for part in (split.train, split.test))
        shared[way] = len(train & test)
    assert shared["pair"] == 0
    assert shared["random"] > 10


@pytest.mark.parametrize(
    ("options", "words"),
    [({"split": "user"}, "split is 'user', expected one of pair, random"), ({"seed": -1}, "seed is -1, expected 0 or")],
)
def test_options_that_are_none_are_refused(raw, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        prepare_frappe(raw, tmp_path / "log", **options)


def test_the_archive_its_folder_and_the_file_give_the_same_log(raw, tmp_path):
    folder = tmp_path / "Mobile_Frappe" / "frappe"
    folder.mkdir(parents=True)
    raw.rename(folder / "frappe.csv")
    archive = tmp_path / "Mobile_Frappe.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(folder / "frappe.csv", "Mobile_Frappe/frappe/frappe.csv")
        packed.writestr("Mobile_Frappe/frappe/meta.csv", "item\tpackage\n")
    paths = [folder / "frappe.csv", tmp_path / "Mobile_Frappe", archive]
    logs = [prepare_frappe(path, tmp_path / f"log{i}") for i, path in enumerate(paths)]
    assert len({log.fingerprint for log in logs}) == 1


def test_bytes_that_are_no_text_are_read_as_a_value(raw, tmp_path):
    usual = prepare_frappe(raw, tmp_path / "usual")
    raw.write_bytes(b"\xef\xbb\xbf" + raw.read_bytes().replace(b"United States", b"\xff"))
    assert np.array_equal(prepare_frappe(raw, tmp_path / "log").ids, usual.ids)


@pytest.mark.parametrize(
    ("header", "events", "words"),
    [
        (
            HEADER.replace("\t", ","),
            [e.replace("\t", ",") for e in EVENTS],
            "expected also user, item, .*, separated by",
        ),
        (HEADER.replace("\t", ","), EVENTS, r"line 2: found .*, expected 1 columns"),
        (HEADER.replace("cost", "user"), EVENTS, "line 1: found several columns user, expected one each"),
        (HEADER.replace("cost", "price"), EVENTS, "line 1: found the columns user, .*price.*, expected also cost"),
        (HEADER, [*EVENTS, "1\t2\t3"], f"line {len(EVENTS) + 2}: found .*, expected 11 columns separated by"),
        (HEADER, [*EVENTS, EVENTS[0] + "\tmore"], "expected 11 columns"),
        (HEADER, [], "found no rows"),
        (
            HEADER,
            [event(1, 0), event(1, 1), event(2, 2)],
            "a user has used 2 of the 3 apps, expected at least 2 others",
        ),
    ],
)
def test_what_breaks_the_format_is_named_and_nothing_is_written(tmp_path, header, events, words):
    with pytest.raises(ValueError, match=rf"frappe\.csv: .*{words}"):
        prepare_frappe(write(tmp_path / "frappe.csv", events, header), tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_the_real_log(real_data, tmp_path):
    """288,609 rows, 5,382 values; nine of ten test positives of a random split repeat a pair of the training rows."""
    archive = real_data / "frappe" / "Mobile_Frappe.zip"
    log = prepare_frappe(archive, tmp_path / "log", split="random")
    assert (log.rows, sum(log.cardinalities), log.labels.sum()) == (288_609, 5_382, 96_203)
    split = log.split(0)
    pair = columns_of(log, "user").ravel().astype(np.int64) * 10_000 + columns_of(log, "item").ravel()
    of_train = pair[split.train][log.labels[split.train] == 1]
    repeated = np.isin(pair[split.test], of_train)
    assert repeated[log.labels[split.test] == 1].mean() == pytest.approx(0.885, abs=0.01)
    assert not repeated[log.labels[split.test] == 0].any()
