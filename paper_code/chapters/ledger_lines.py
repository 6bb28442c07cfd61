"""The lines of the ledger in short: which claims are told together, in which words, and on which page in detail."""

from collections.abc import Sequence
from dataclasses import dataclass

from paper_code.chapters.shared.rules import Claim

OURS = "ours and newer models"
PARTS = {
    "the phenomenon": "claims_phenomenon",
    "the cause": "claims_cause",
    "the cure": "claims_cure",
    OURS: "claims_ours",
}
"""Part of the ledger -> the notebook that has its details."""


@dataclass(frozen=True)
class Line:
    """Claims that the ledger tells in one line.

    names: how theirs begin, apart by blanks. measure: what the number is that is shown, of a claim's last effect; none
    is shown where those of the claims are not alike.
    """

    part: str
    label: str
    names: str
    measure: str = ""

    @property
    def anchor(self) -> str:
        """The name of its place on the page of its part."""
        return self.names.split()[0].rstrip("-")

    def of(self, claims: Sequence[Claim]) -> list[Claim]:
        names = tuple(self.names.split())
        return [claim for claim in claims if claim.of_paper == (self.part != OURS) and claim.name.startswith(names)]

    def by_log(self, claims: Sequence[Claim]) -> dict[str, list[Claim]]:
        found = {}
        for claim in self.of(claims):
            found.setdefault(claim.dataset, []).append(claim)
        return found


LARGEST, MULTI = "AUC, largest size here minus base", "AUC, multi minus single"
IN_SHORT = {
    "the phenomenon": (
        ("Learned embeddings collapse", "embedding-collapse", "share of random"),
        ("Larger single is worse than the base: six models", "average-single", LARGEST),
        ("Larger DNN, xDeepFM, FinalMLP get worse", "average-drops", LARGEST),
        ("Larger single embeddings gain too little: each", "single-embedding", LARGEST),
    ),
    "the cause": (
        ("Toy: a collapsed matrix makes another collapse", "toy-collapse", "abundance, small minus large"),
        ("Fields collapse those they interact with", "law", "rank correlation in DCNv2, Fisher's z"),
        ("The same, of FFM and of DCNv2 by itself", "interaction-collapse"),
        ("Regularised DCNv2: less collapse, overfitting", "evidence-iii"),
        ("DNN: less collapse, yet its AUC drops", "evidence-iv"),
        ("Less collapse alone does not help (Finding 2)", "finding-2", "fall of validation AUC, DNN minus DCNv2"),
    ),
    "the cure": (
        ("Multi beats single embedding: six models", "average-multi", MULTI),
        ("The averages over the logs, by 0.001", "logs-"),
        ("Multi beats single at every size: each model", "multi-embedding-better", f"{MULTI}, largest"),
        ("Multi embedding improves with size: each model", "multi-embedding-scales", "AUC, largest minus the next"),
        ("Multi embedding collapses less (9a)", "figure-9a", "share of random, multi over single"),
        ("Embedding sets vary in collapse (9b)", "figure-9b", "spread over sets minus over models"),
        ("Embedding sets learn different patterns (9c)", "figure-9c", "spread over sets minus over models"),
        ("Multi embedding with like patterns scales worse (9d)", "figure-9d", "AUC, free minus alike"),
        ("Embedding sets need interactions of their own", "own-interactions", "AUC, own minus shared"),
        (
            *("Linear multi embedding is single (Appendix B)", "linear-multi-embedding-is-single"),
            "digits that agree through ReLU",
        ),
    ),
    OURS: (
        ("The law is more than cardinality or chance", "interaction-collapse-ffm interaction-collapse-dcnv2"),
        ("Collapse is learned: less on permuted labels", "collapse-is-learned"),
        ("Multi beats single of its width, or with its blocks", "control"),
        (
            *("The law in GDCN and RankMixer", "interaction-collapse-gdcn interaction-collapse-rankmixer"),
            "rank correlation, Fisher's z",
        ),
        ("GDCN, RankMixer: larger single gains too little", "single-embedding", LARGEST),
        ("GDCN, RankMixer: multi beats single, and improves", "multi-embedding"),
        ("Collapse, law, gain without weight decay", "optimizer-collapse optimizer-law optimizer-gain"),
        ("Only coupled weight decay deepens collapse", "optimizer-coupled optimizer-decoupled"),
        ("Choices of the released code do not matter", "released-emb released-shuffle released-vocab released-ipnn"),
        ("Multi beats single under each of these choices", "released-gain"),
        ("Over a map of logs multi gains, and collapses less", "map-gain map-relief"),
        ("The gain is where the collapse is", "map-where", "rank correlation"),
        ("Multi beats one embedding of its run time", "alternatives-time", "AUC, multi minus that one"),
        ("Multi beats an ensemble of as many models", "alternatives-ensemble", "AUC, multi minus ensemble"),
        ("Multi beats sets with one shared interaction", "alternatives-shared", "AUC, own minus shared"),
    ),
}
"""Part of the ledger -> its lines: the claims in short, names and measure, see `Line`."""
SUMMARY = [Line(part, *line) for part, lines in IN_SHORT.items() for line in lines]
CHAPTERS = {
    **{"fig02_collapse": "Figure 2", "fig03_interaction_collapse": "Figure 3", "fig04_toy": "Figure 4"},
    **{"fig05_regularized": "Figure 5", "fig06_dnn_dcnv2": "Figure 6", "fig09_analysis": "Figure 9"},
    **{"table3_fig10": "Table 3", "table4_fig11": "Table 4", "appendix_b": "Appendix B", "ablations": "ablations"},
    **{"newer": "newer models", "optimizer": "weight decay", "released": "released code", "reach": "when it helps"},
}
"""Notebook -> what it is called where there is little room."""
