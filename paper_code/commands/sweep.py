"""`paper-code sweep`: all runs that figures need, or what they cost."""

import argparse
import json
import time

from paper_code.commands.options import add_command, add_json, add_profile, add_run_places, report, whole
from paper_code.data import SYNTHETIC_LOGS
from paper_code.runs.config import RunConfig
from paper_code.runs.experiments import EXPERIMENTS, book_experiments, run_configs
from paper_code.runs.reading import run_store
from paper_code.runs.store import RunStore

EXAMPLE = """\
example: paper-code sweep
         paper-code sweep scalability --dataset avazu_like --jobs 2
         paper-code sweep --profile smoke --results-dir _build/smoke
         paper-code sweep tables --profile paper --results-dir _build/paper --dry-run
         paper-code sweep --backend dask --cluster tcp://10.0.0.1:8786 --results-dir _build/runs

Trains what RESULTS_DIR lacks and can be interrupted at any moment: start it again and it goes on. The GPUs of this
machine have one run each; a cluster's workers need the same commit and versions, and no common file system. A dry run
tells what is missing and its cost: steps are timed by the records of RESULTS_DIR and of the book, or else now."""


def add(commands, name: str, summary: str) -> None:
    parser = add_command(commands, name, run, summary, EXAMPLE, ("paper_code.runs.sweeps", "paper_code.runs.cost"))
    parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help=f"{', '.join(EXPERIMENTS)} (default: the book's)"
    )
    parser.add_argument("--dataset", help="(default: both synthetic logs)")
    parser.add_argument("--seeds", help="such as 0,1,2 (default: the profile's)")
    parser.add_argument("--jobs", type=whole(1), help="runs at once (default: one per core, or one per GPU)")
    parser.add_argument(
        "--backend", choices=("local", "dask"), default="local", help="this machine or a cluster (default: local)"
    )
    parser.add_argument("--cluster", metavar="ADDRESS", help="of the scheduler, with --backend dask")
    parser.add_argument("--dry-run", action="store_true", help="tell what is missing and its cost; train nothing")
    add_profile(parser)
    add_run_places(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    from paper_code.runs.sweeps import sweep

    configs = [
        config
        for dataset in ([options.dataset] if options.dataset else SYNTHETIC_LOGS)
        for experiment in options.experiments or book_experiments(dataset)
        for config in run_configs(experiment, dataset, options.profile, options.seeds, options.data_dir)
    ]
    if (options.backend == "dask") != (options.cluster is not None):
        raise ValueError(
            f"--backend {options.backend} with --cluster {options.cluster}: expected --cluster ADDRESS with "
            "--backend dask, and only with it"
        )
    store = run_store(options.results_dir)
    if options.dry_run:
        dry_run(options, configs, store)
        return
    started = time.perf_counter()
    trained = sweep(
        configs,
        store,
        device=options.device,
        jobs=options.jobs,
        data_folder=options.data_dir,
        cluster=options.cluster,
    )
    report(
        {
            "results": " and ".join(map(str, store.folders)),
            "runs": len({config.hash for config in configs}),
            "trained now": trained,
            "seconds": round(time.perf_counter() - started, 1),
        },
        options.json,
    )


def dry_run(options: argparse.Namespace, configs: list[RunConfig], store: RunStore) -> None:
    """Print what a sweep would train, and its cost."""
    from paper_code.runs.cost import estimate, readable, total_seconds, type_of, wall_seconds
    from paper_code.runs.sweeps import missing_runs, places

    missing = missing_runs(configs, store)
    folders = {*run_store().folders, *store.folders}
    records = [record for folder in sorted(folders) for record in RunStore(folder).records()]
    table = estimate(missing, records, options.device, data_folder=options.data_dir)
    jobs = options.jobs or (1 if options.cluster else len(places(options.device, None)))
    totals = {
        "missing runs": len(missing),
        "stored already": len({config.hash for config in configs}) - len(missing),
        "core hours" if type_of(options.device) == "cpu" else "GPU hours": round(total_seconds(table) / 3600, 3),
        "runs at once": jobs,
        "hours until all are done": round(wall_seconds(table, jobs) / 3600, 3),
    }
    if options.json:
        print(json.dumps({"kinds": table.to_dict("records"), "totals": totals}))
        return
    if len(table):
        print(readable(table).to_string(index=False) + "\n")
    report(totals, as_json=False)
