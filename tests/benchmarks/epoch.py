"""One epoch of one run at the paper's full size, in one piece: does it take what its steps say?

    python tests/benchmarks/epoch.py --device cuda --csv epoch.csv

Table 2's rows with ids skewed as in `training` and random labels, drawn on the device: training by
`paper_code.training.fitting.Trainer` on eight tenths of them, the logits of the validation rows by `predict`, both as
`fit` calls them. It needs memory for the rows, 7 GB for Criteo.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from roofline import wait
from tqdm import tqdm
from training import BATCH, Case, setting_of

from paper_code.data.click_log import rows_of_share
from paper_code.models import MODELS, base_embedding_size, build_model
from paper_code.published import STATISTICS
from paper_code.training.config import TrainingConfig
from paper_code.training.fitting import Trainer, make_optimizer, predict
from paper_code.training.process import find_device, seeded, set_up_process


def measure(case: Case, device: torch.device) -> dict:
    rows = int(STATISTICS[case.dataset]["rows"])
    training_rows, validation_rows = rows_of_share(rows, 8, 10), rows_of_share(rows, 1, 10)
    set_up_process(device)
    with seeded(device, 0), tqdm(unit=" batches", mininterval=10) as bar:
        ids = torch.empty(rows, case.fields, dtype=torch.int32, device=device)
        for column, cardinality in zip(ids.unbind(dim=1), case.sizes[0], strict=True):
            column.copy_((cardinality ** torch.rand(rows, dtype=torch.float64, device=device)).int() - 1)
        labels = torch.randint(2, (rows,), dtype=torch.uint8, device=device)
        model = build_model(case.model, *case.sizes, seed=0).to(device)
        optimizer = make_optimizer(model, None, TrainingConfig())
        batches = torch.arange(training_rows, device=device).split(BATCH)
        wait(device)
        started = time.perf_counter()
        Trainer(model, None, optimizer, ids, labels, device, TrainingConfig()).train(batches, bar)
        trained = time.perf_counter()
        predict(model, ids, np.arange(training_rows, training_rows + validation_rows), device)
        return {
            "rows": rows,
            "steps": len(batches),
            "training_seconds": round(trained - started, 2),
            "validation_rows": validation_rows,
            "validation_seconds": round(time.perf_counter() - trained, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="Criteo", choices=STATISTICS, help="default: %(default)s")
    parser.add_argument("--model", default="dnn", choices=MODELS, help="default: %(default)s")
    parser.add_argument("--num-sets", type=int, default=1, help="of the base size; default: %(default)s")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--csv", type=Path, help="write the row to this file too, in place of what it holds")
    options = parser.parse_args()
    device = find_device(options.device)
    case = Case(options.model, 0, options.num_sets, options.dataset)
    case = case._replace(embedding_size=base_embedding_size(options.model, int(STATISTICS[options.dataset]["fields"])))
    table = pd.DataFrame([case._asdict() | measure(case, device) | setting_of(device)])
    print(table.T.to_string(header=False))
    if options.csv:
        table.to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
