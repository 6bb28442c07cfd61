"""Training throughput of every model at the paper's sizes, beside an obvious loop over the embedding sets.

    python tests/benchmarks/training.py --models dnn,dcnv2 --scales 1,10 --steps 20 --csv speed.csv

39 fields, 1.08 million values as in Table 2, batch 2048, random ids, the paper's hidden sizes. A step is forward,
backward and the dense Adam update. Scale s above 1 has two cases: one embedding set of s times the base size, and s
sets of the base size. FFM and FM have one set, and only scale 1.

The peer is each model as one would write it first: a table and an interaction per set, of torch.nn's own layers, called
in a Python loop. Before anything is timed, it must have as many parameters as ours and, in miniature, the same logits.
Ours and the peer take steps in turn in one process, so that the ratio holds when the machine's speed drifts; both with
the process settings of `paper_code.training.fit`, but not its deterministic algorithms.
"""

import argparse
import csv
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paper_code.models import MODEL_LABELS, MODELS, base_embedding_size, build_model
from paper_code.runs import peak_memory, processor
from paper_code.training import find_device, keep_freed_memory

FIELDS, VALUES, BATCH = 39, 1_080_000, 2048
CARDINALITIES = [VALUES // FIELDS] * (FIELDS - 1) + [VALUES - VALUES // FIELDS * (FIELDS - 1)]
WARM_UP_STEPS = 2  # the second has gradients, moments and activations at once: the peak of memory
TOGETHER = 16e9  # bytes of both models with their gradients and moments, above which they are not timed in turn


class Case(NamedTuple):
    model: str
    embedding_size: int
    num_sets: int


# The peer. An interaction maps one set's embeddings (batch, fields, size) to (batch, features).


class InnerProducts(nn.Module):
    """IPNN by the Gram matrix and its upper triangle, as in DLRM."""

    def __init__(self, fields: int):
        super().__init__()
        self.register_buffer("pairs", torch.triu_indices(fields, fields, offset=1))

    def forward(self, e: Tensor) -> Tensor:
        products = torch.bmm(e, e.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]
        return torch.cat([e.flatten(1), products], dim=1)


class WeightedFieldSums(nn.Module):
    """NFwFM: the sum over i of e_i * (sum over j of w_ij e_j)."""

    def __init__(self, fields: int, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(fields, fields))
        self.norm, self.dropout = nn.BatchNorm1d(size), nn.Dropout(0.2)

    def forward(self, e: Tensor) -> Tensor:
        return self.dropout(self.norm((e * (self.weight @ e)).sum(dim=1)))


class CompressedInteraction(nn.Module):
    """CIN as in its paper: the outer product of the rows, then a 1 x 1 convolution."""

    def __init__(self, fields: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(rows * fields, 16, kernel_size=1) for rows in (fields, 16))

    def forward(self, e: Tensor) -> Tensor:
        x, sums = e, []
        for layer in self.layers:
            x = layer((x.unsqueeze(2) * e.unsqueeze(1)).flatten(1, 2)).relu()
            sums.append(x.sum(dim=2))
        return torch.cat(sums, dim=1)


class CrossNetwork(nn.Module):
    """DCNv2."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(4))

    def forward(self, e: Tensor) -> Tensor:
        x0 = x = e.flatten(1)
        for layer in self.layers:
            x = x0 * layer(x) + x
        return x


class GatedCrossNetwork(CrossNetwork):
    """GDCN."""

    def __init__(self, width: int):
        super().__init__(width)
        self.gates = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, e: Tensor) -> Tensor:
        x0 = x = e.flatten(1)
        for layer, gate in zip(self.layers, self.gates, strict=True):
            x = x0 * layer(x) * torch.sigmoid(gate(x)) + x
        return x


class TokenMixing(nn.Module):
    """RankMixer: a loop over the tokens."""

    def __init__(self, fields: int, size: int):
        super().__init__()
        width = fields * max(1, size // 5)
        self.tokens = nn.ModuleList(nn.Linear(size, width) for _ in range(fields))
        self.blocks = nn.ModuleList(TokenBlock(fields, width) for _ in range(2))

    def forward(self, e: Tensor) -> Tensor:
        tokens = [layer(of_field) for layer, of_field in zip(self.tokens, e.unbind(dim=1), strict=True)]
        for block in self.blocks:
            tokens = block(tokens)
        return torch.stack(tokens).mean(dim=0)


class TokenBlock(nn.Module):
    def __init__(self, tokens: int, width: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ffns = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(tokens)
        )

    def forward(self, tokens: list[Tensor]) -> list[Tensor]:
        heads = [token.chunk(len(tokens), dim=1) for token in tokens]
        mixed = [torch.cat(of_head, dim=1) for of_head in zip(*heads, strict=True)]
        normed = [self.norms[0](new + old) for new, old in zip(mixed, tokens, strict=True)]
        return [self.norms[1](ffn(token) + token) for ffn, token in zip(self.ffns, normed, strict=True)]


class AddedLinear(nn.Module):
    """xDeepFM: the logits of the DNN and of the CIN."""

    def __init__(self):
        super().__init__()
        self.mlp, self.linear = mlp(), nn.Linear(32, 1)

    def forward(self, hidden: Tensor, compressed: Tensor) -> Tensor:
        return self.mlp(hidden) + self.linear(compressed)


class BilinearFusion(nn.Module):
    """FinalMLP."""

    def __init__(self):
        super().__init__()
        self.linear, self.bilinear = nn.Linear(800, 1), nn.Linear(400, 400, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.linear(torch.cat([x, y], dim=1)) + (self.bilinear(x) * y).sum(dim=1, keepdim=True)


def hidden_block(width: int, out: int = 400) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.BatchNorm1d(out), nn.ReLU(), nn.Dropout(0.2))


def mlp() -> nn.Sequential:
    """What follows the mean over the sets."""
    return nn.Sequential(hidden_block(400), nn.Linear(400, 1))


def branches(model: str, fields: int, size: int) -> nn.ModuleList:
    """One set of a model: what is computed of its embeddings side by side, each then averaged over the sets."""
    width = fields * size
    if model == "finalmlp":
        streams = [nn.Sequential(nn.Flatten(), hidden_block(width), hidden_block(400)) for _ in range(2)]
        return nn.ModuleList(streams)
    interaction, features = {
        "dnn": (nn.Flatten, width),
        "ipnn": (lambda: InnerProducts(fields), width + fields * (fields - 1) // 2),
        "nfwfm": (lambda: WeightedFieldSums(fields, size), size),
        "xdeepfm": (nn.Flatten, width),
        "dcnv2": (lambda: CrossNetwork(width), width),
        "gdcn": (lambda: GatedCrossNetwork(width), width),
        "rankmixer": (lambda: TokenMixing(fields, size), fields * max(1, size // 5)),
    }[model]
    projected = nn.Sequential(interaction(), hidden_block(features))
    return nn.ModuleList([projected, CompressedInteraction(fields)] if model == "xdeepfm" else [projected])


class LoopOverSets(nn.Module):
    """A model with a table and branches of its own for every set."""

    def __init__(self, model: str, cardinalities: list[int], size: int, num_sets: int):
        super().__init__()
        self.register_buffer("offsets", first_rows(cardinalities))
        self.tables = nn.ModuleList(nn.Embedding(sum(cardinalities), size) for _ in range(num_sets))
        self.sets = nn.ModuleList(branches(model, len(cardinalities), size) for _ in range(num_sets))
        self.head = {"xdeepfm": AddedLinear, "finalmlp": BilinearFusion}.get(model, mlp)()

    def forward(self, ids: Tensor) -> Tensor:
        outputs = []
        for table, of_set in zip(self.tables, self.sets, strict=True):
            e = table(ids + self.offsets)
            outputs.append([branch(e) for branch in of_set])
        means = [torch.stack(of_branch).mean(dim=0) for of_branch in zip(*outputs, strict=True)]
        return self.head(*means).flatten()


class FactorizationMachine(nn.Module):
    """FM by the square of the sum; FFM with a table per other field and a loop over the pairs of fields."""

    def __init__(self, model: str, cardinalities: list[int], size: int):
        super().__init__()
        self.register_buffer("offsets", first_rows(cardinalities))
        tables = len(cardinalities) - 1 if model == "ffm" else 1
        self.tables = nn.ModuleList(nn.Embedding(sum(cardinalities), size // tables) for _ in range(tables))
        self.linear = nn.Embedding(sum(cardinalities), 1)
        self.bias = nn.Parameter(torch.zeros(()))
        self.interaction = field_aware_products if model == "ffm" else pairwise_products

    def forward(self, ids: Tensor) -> Tensor:
        ids = ids + self.offsets
        products = self.interaction(*(table(ids) for table in self.tables))
        return products + self.linear(ids).sum(dim=(1, 2)) + self.bias


def pairwise_products(e: Tensor) -> Tensor:
    return (e.sum(dim=1) ** 2 - (e**2).sum(dim=1)).sum(dim=1) / 2


def field_aware_products(*tables: Tensor) -> Tensor:
    e = [table.unbind(dim=1) for table in tables]  # not table[:, i], whose gradient is a table of zeros for every pair
    # field i's table for a later field j is at j - 1, as it has none for itself
    products = [e[j - 1][i] * e[i][j] for i, j in combinations(range(len(tables) + 1), 2)]
    return torch.stack(products, dim=1).sum(dim=(1, 2))


def first_rows(cardinalities: list[int]) -> Tensor:
    return torch.tensor([0, *cardinalities[:-1]]).cumsum(0)


def build_peer(model: str, cardinalities: list[int], embedding_size: int, num_sets: int) -> nn.Module:
    if MODELS[model].factorization_machine:
        return FactorizationMachine(model, cardinalities, embedding_size)
    return LoopOverSets(model, cardinalities, embedding_size, num_sets)


BUILDERS = {"ours": build_model, "peer": build_peer}


def check_peer(case: Case) -> int:
    """The number of parameters, ours and the peer's; AssertionError if it or a miniature's logits are not the same."""
    with torch.device("meta"):  # no memory
        pair = [build(case.model, CARDINALITIES, *case[1:]) for build in BUILDERS.values()]
    ours, peer = (sum(p.numel() for p in model.parameters()) for model in pair)
    assert ours == peer, f"{case}: our model has {ours:,} parameters, the peer {peer:,}"
    cardinalities, size = [3, 7, 5, 4, 6], 8
    ours_small, peer_small = (
        build(case.model, cardinalities, size, min(case.num_sets, 3)).double().eval() for build in BUILDERS.values()
    )
    # with one number for all weights and one for all biases, the two layouts need not be matched; only the tables have
    # random numbers, each some columns of ours
    torch.manual_seed(0)
    for model in (ours_small, peer_small):
        for name, parameter in model.named_parameters():
            nn.init.constant_(parameter, 0.1 if name.endswith("bias") else 0.5)
    columns = nn.init.normal_(ours_small.embedding.weight).split(peer_small.tables[0].embedding_dim, dim=1)
    for table, weight in zip(peer_small.tables, columns, strict=True):
        table.weight.data.copy_(weight)
    ids = torch.stack([torch.randint(d, (64,)) for d in cardinalities], dim=1)
    message = f"{case}: the peer's logits in miniature are not ours"
    torch.testing.assert_close(peer_small(ids), ours_small(ids), rtol=1e-10, atol=1e-10, msg=message)
    return ours


def stepper(model: nn.Module, device: torch.device):
    """A function that trains one step and returns its seconds."""
    model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=1e-6, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> float:
        ids = torch.randint(VALUES // FIELDS, (BATCH, FIELDS), generator=generator, dtype=torch.int32).to(device)
        labels = torch.randint(2, (BATCH,), generator=generator).float().to(device)
        started = time.perf_counter()
        loss = F.binary_cross_entropy_with_logits(model(ids), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        return time.perf_counter() - started

    return step


def measure(case: Case, who: tuple[str, ...], device: str, steps: int) -> tuple[list[list[float]], int]:
    """Seconds of each step of those in BUILDERS that take turns, and the peak bytes of the process (CUDA: device)."""
    found = find_device(device)
    torch.set_flush_denormal(True)  # the settings of `paper_code.training.fit`, for both
    if found.type == "cpu":
        keep_freed_memory()
    steppers = [stepper(BUILDERS[name](case.model, CARDINALITIES, *case[1:]), found) for name in who]
    for _ in range(WARM_UP_STEPS):
        for step in steppers:
            step()
    turns = [[step() for step in steppers] for _ in range(steps)]
    peak = torch.cuda.max_memory_allocated(found) if found.type == "cuda" else peak_memory()
    return [list(seconds) for seconds in zip(*turns, strict=True)], peak


def measure_in_process(*arguments) -> tuple[list[list[float]], int]:
    """`measure` in a process of its own, so that memory of what ran before does not count."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()  # an error, not a wait, if the process runs out of memory


def compare(case: Case, parameters: int, device: str, steps: int) -> dict:
    """A row of the table."""
    in_turn = 2 * 4 * 4 * parameters < TOGETHER  # two models; weight, gradient and two moments; float32
    (ours,), peak = measure_in_process(case, ("ours",), device, 1 if in_turn else steps)
    if in_turn:
        (ours, peer), _ = measure_in_process(case, ("ours", "peer"), device, steps)
    else:
        (peer,), _ = measure_in_process(case, ("peer",), device, steps)
    ratios = [b / a for a, b in zip(ours, peer, strict=True)]
    return {
        **case._asdict(),
        "parameters": parameters,
        "samples_per_second": round(BATCH / statistics.median(ours), 1),
        "peer_samples_per_second": round(BATCH / statistics.median(peer), 1),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "in_turn": in_turn,
        "peak_mib": round(peak / 2**20),
    }


def cases(models: list[str], scales: list[int]) -> list[Case]:
    found = []
    for model in models:
        size = base_embedding_size(model, FIELDS)
        for scale in scales:
            if scale == 1:
                found.append(Case(model, size, 1))
            elif not MODELS[model].factorization_machine:
                found += [Case(model, size * scale, 1), Case(model, size, scale)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS), help="default: %(default)s")
    parser.add_argument("--scales", default="1,10", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each, default: %(default)s")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--csv", help="write the rows to this file too, in place of what it holds")
    options = parser.parse_args()
    models, scales = options.models.split(","), [int(scale) for scale in options.scales.split(",")]
    if unknown := set(models) - set(MODELS):
        parser.error(f"no model {', '.join(sorted(unknown))}; the models are {', '.join(MODELS)}")
    if min(scales) < 1 or options.steps < 1:
        parser.error("scales and steps are whole numbers of at least 1")

    parameters = {case: check_peer(case) for case in cases(models, scales)}
    setting = {
        "hardware": torch.cuda.get_device_name() if find_device(options.device).type == "cuda" else processor(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "steps": options.steps,
    }
    print("{hardware}; PyTorch {torch}, {threads} threads; {steps} steps each".format(**setting))
    print(f"{'model':<10}{'K':>5}{'sets':>6}{'samples/s':>12}{'loop/ours (median, min to max)':>34}{'peak MiB':>10}")
    rows = []
    for case, count in parameters.items():
        row = compare(case, count, options.device, options.steps)
        spread = "{ratio_median:.2f} ({ratio_min:.2f} to {ratio_max:.2f})".format(**row)
        spread += " " if row["in_turn"] else "*"
        print(
            f"{MODEL_LABELS[case.model]:<10}{case.embedding_size:>5}{case.num_sets:>6}"
            f"{row['samples_per_second']:>12,.0f}{spread:>34}{row['peak_mib']:>10,}",
            flush=True,
        )
        rows.append(row | setting)
        if options.csv:
            with open(options.csv, "w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)
    if not all(row["in_turn"] for row in rows):
        print("* too large for one process: ours first, then the peer; a drift of the machine's speed is in the ratio")


if __name__ == "__main__":
    main()
