"""Interactions that came after the paper."""

from paper_code.chapters.fig03_interaction_collapse import law_claims
from paper_code.chapters.fig08_scalability import scalability_claims
from paper_code.chapters.shared.rules import Claim
from paper_code.chapters.shared.tables import Runs
from paper_code.runs.experiments import newer

NEWER = tuple(
    f"{name}-{model}"
    for model in ("gdcn", "rankmixer")
    for name in ("interaction-collapse", "single-embedding", "multi-embedding-better", "multi-embedding-scales")
)


def newer_claims(runs: Runs) -> list[Claim]:
    """The paper's claims asked of interactions that came after it: law, and scalability."""
    claims = []
    for model in ("gdcn", "rankmixer"):
        records = [record for record in runs.records if record.config["model"] == model]
        sizes = sorted({run.scale * run.num_sets for run in newer(runs.scales) if run.model == model})
        of_model = Runs(records, runs.dataset, sizes)
        claims += law_claims(of_model, model)[:1] + scalability_claims(of_model, (model,))
    return claims
