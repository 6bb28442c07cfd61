"""Are stored records true? Some are trained anew, and what is stored is held against what comes out."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean

from paper_code.data import SYNTHETIC_LOGS, load_click_log
from paper_code.runs.computed import file_of
from paper_code.runs.config import DATA_FOLDER, FIRST_CRITEO_80K, GENERATOR, DataConfig, RunConfig
from paper_code.runs.cost import estimate, kind_of, seconds_per_step
from paper_code.runs.record import RunRecord
from paper_code.runs.sweeps import Processes, outcomes, places
from paper_code.spectra import information_abundance_of

SPREAD = {"test_auc": 0.001, "information_abundance": 0.04, "best_look": 5}
"""The most that another machine is taken to change: test AUC, information abundance as a share of itself, looks.

Runs were trained anew on the processor that made them, but with AVX2 in place of AVX-512 in PyTorch, NumPy and their
libraries: `figures/data/verification_other_instructions.csv`. Five times the root mean square of their differences,
rounded up; of looks, which did not differ, those of an epoch.
"""
MADE_BY = ("hardware", "versions", "device", "threads")
"""What of the provenance decides a run's last digits."""


@dataclass(frozen=True)
class Comparison:
    """A stored record beside that of the same run trained anew."""

    stored: RunRecord
    new: RunRecord

    @property
    def values(self) -> dict[str, tuple[float, float]]:
        """Stored and new: test AUC, information abundance (side by side, mean over the fields), best look (from 1)."""
        return {
            "test_auc": (self.stored.scores["test_auc"], self.new.scores["test_auc"]),
            "information_abundance": (mean_abundance(self.stored), mean_abundance(self.new)),
            "best_look": (self.stored.scores["best_look"], self.new.scores["best_look"]),
        }

    @property
    def differences(self) -> dict[str, float]:
        """New less stored, in the units of `SPREAD`."""
        found = {name: new - stored for name, (stored, new) in self.values.items()}
        return found | {"information_abundance": found["information_abundance"] / mean_abundance(self.stored)}

    @property
    def same_bits(self) -> bool:
        """In everything but times, provenance, and measures of the tables that were not taken when it was stored."""
        taken = {name: values for name, values in self.new.spectra.items() if name in self.stored.spectra}
        return without_clock(self.stored) == without_clock(replace(self.new, spectra=taken))

    @property
    def same_machine(self) -> bool:
        """As far as the records name it: processors of one name may have different instructions."""
        return all(self.stored.provenance.get(name) == self.new.provenance[name] for name in MADE_BY)

    @property
    def holds(self) -> bool:
        """Whether the record is what training it anew gives, to the last bit or within `SPREAD`.

        Where validation AUC has the same bits at every look, the machine made no difference, and nothing else may
        differ either.
        """
        if self.stored.looks == self.new.looks:
            return self.same_bits
        return all(abs(self.differences[name]) <= most for name, most in SPREAD.items())


def without_clock(record: RunRecord) -> RunRecord:
    epochs = [{name: value for name, value in epoch.items() if name != "training_seconds"} for epoch in record.epochs]
    return replace(record, epochs=epochs, provenance={})


def mean_abundance(record: RunRecord) -> float:
    return mean(information_abundance_of(values) for values in record.spectra["side_by_side"])


def drift(comparisons: Sequence[Comparison]) -> tuple[float, float]:
    """The mean difference in test AUC, and the most that it may be: the `SPREAD` of a mean of so many.

    Differences of another machine have no preferred side, so that they cancel out; those of changed code need not.
    """
    differences = [comparison.differences["test_auc"] for comparison in comparisons]
    return mean(differences), SPREAD["test_auc"] / len(differences) ** 0.5


def split_by_obstacle(
    records: Iterable[RunRecord], data_folder: Path = DATA_FOLDER
) -> tuple[list[RunRecord], Counter[str]]:
    """The records whose runs can be trained here, and of the others how many there are of each reason why not.

    Raises ValueError, which names the record, if its config is not of a run that this code knows.
    """
    found, others, of_log = [], Counter(), {}
    for record in records:
        try:
            data = RunConfig.from_json(record.config).data
        except ValueError as error:
            raise ValueError(f"{record.config['data'].get('name')}/{record.hash}.json: {error}") from None
        log = replace(data, seed=0)
        if log not in of_log:
            of_log[log] = obstacle(data, data_folder)
        if of_log[log] is None:
            found.append(record)
        else:
            others[of_log[log]] += 1
    return found, others


def obstacle(data: DataConfig, data_folder: Path) -> str | None:
    """Why no run on this log can be trained here; None if it can."""
    if data == FIRST_CRITEO_80K or (data.name in SYNTHETIC_LOGS and data.generator != GENERATOR):
        return "of the first regime, whose logs this code no longer makes"
    if data.name in SYNTHETIC_LOGS:
        return None
    folder = data_folder / data.name
    if not (folder / "log.json").is_file():
        return f"on {data.name}, which is not in {data_folder} (see `paper-code prepare --help`)"
    if load_click_log(folder).fingerprint != data.fingerprint:
        return f"on {data.name} as it was encoded otherwise than the one in {folder}"
    return None


def draw(
    records: Sequence[RunRecord], number: int, seconds: float, seed: int, device: str, data_folder: Path = DATA_FOLDER
) -> list[RunRecord]:
    """At most so many of the records, which train anew within so many seconds, one after the other, as `estimate` tells
    it: in an order that the seed decides, each that still fits."""
    if not records:
        return []
    configs = [RunConfig.from_json(record.config) for record in records]
    measure = partial(seconds_per_step, at_least=0.1)
    table = estimate(configs, records, device, data_folder=data_folder, measure=measure)
    kinds = dict.fromkeys(kind_of(record.config) for record in records)
    seconds_of = dict(zip(kinds, table["seconds"], strict=True))
    ordered, drawn = sorted(records, key=lambda record: record.hash), []
    for record in random.Random(seed).sample(ordered, len(ordered)):
        cost = seconds_of[kind_of(record.config)]
        if len(drawn) < number and cost <= seconds:
            drawn.append(record)
            seconds -= cost
    return drawn


def verify(
    records: Sequence[RunRecord], device: str = "cpu", jobs: int | None = None, data_folder: Path = DATA_FOLDER
) -> Iterator[tuple[RunRecord, Comparison | str]]:
    """Train the runs of the records anew, each on one thread as a sweep does.

    jobs: how many at once; None: one per core, or one per GPU. Yields each record as its run ends, with the comparison
    or what stopped the run.
    """
    if not records:
        return
    stored = {record.hash: record for record in records}
    configs = [RunConfig.from_json(record.config) for record in records]
    with Processes(places(device, jobs)[: len(configs)], data_folder) as pool:
        for config, outcome in outcomes(configs, pool):
            record = stored[config.hash]
            yield record, Comparison(record, outcome) if isinstance(outcome, RunRecord) else outcome


def is_same_result(path: Path, computations: Mapping[str, Callable[[dict], object]]) -> bool:
    """Whether what `computed` has kept in the file has the same bits when it is computed anew.

    computations: by the beginning of the file's name, what gives the result from the parameters in the file.
    Raises ValueError, which names the file, if it is not one of these.
    """
    name = path.stem.rpartition("_")[0]
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        parameters, result = kept["parameters"], kept["result"]
        if path.name != file_of(name, parameters):
            raise ValueError("its parameters are not those that it is named after")
        compute = computations[name]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not a result of {' or '.join(computations)} ({error}); delete it to compute it anew"
        ) from None
    return json.loads(json.dumps(compute(parameters))) == result
