"""The further ablations of the paper's later version."""

from paper_code.chapters.shared.gates import OF_AUC
from paper_code.chapters.shared.judged import judged_runs
from paper_code.chapters.shared.rules import Claim, auc_effect
from paper_code.chapters.shared.tables import Runs
from paper_code.chapters.shared.words import size_text


def ablation_claims(runs: Runs) -> list[Claim]:
    """The shared interaction of the paper's later version."""
    shared = runs("test_auc", "dcnv2", "ME", variant="shared_interaction")
    size = size_text(runs.largest)
    name = f"test AUC, multi {size} minus multi {size} with one shared interaction"
    return [
        Claim(
            "own-interactions",
            "later version of the paper",
            "Multi embedding needs an interaction of its own for every set.",
            "At the largest size it has a higher test AUC than with one interaction shared by all sets, paired by "
            "seed.",
            (auc_effect(name, runs("test_auc", "dcnv2", "ME"), shared, "above"),),
            runs.dataset,
            "ablations",
            checks=OF_AUC,
            judged=judged_runs(["dcnv2"], ("ME", runs.largest)),
        )
    ]
