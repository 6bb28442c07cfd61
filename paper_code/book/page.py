"""What a notebook shows: its records' figures, each with its data, its command and where it comes from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from types import ModuleType

from IPython.display import HTML, display
from matplotlib import pyplot as plt

from paper_code.chapters.claims import Ledger
from paper_code.chapters.shared.rules import Claim
from paper_code.chapters.shared.style import save_figure
from paper_code.chapters.shared.tables import provenance
from paper_code.runs.config import check_text
from paper_code.runs.profiles import seeds_of
from paper_code.runs.reading import of_first_regime, records_of
from paper_code.runs.record import RunRecord

FIRST_RUNS = (
    '<div class="admonition warning"><p class="admonition-title">Runs of the first regime</p><p>This page shows some '
    "of this project's first runs. Weight decay had switched their interactions off "
    '(<a href="regime.html">how that was found</a>), and the synthetic logs were an earlier version of those that the '
    "book describes. No claim is judged by them. They stay until the new ones are made.</p></div>"
)


@dataclass(frozen=True)
class Page:
    """A notebook of the book, by its file's name without ending, with the parameters that it was given."""

    notebook: str
    dataset: str
    profile: str
    seeds: Sequence[int] | str | None
    device: str
    results_dir: str
    figures_dir: str
    warned: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for name in ("dataset", "profile", "device", "results_dir", "figures_dir"):
            check_text(name, getattr(self, name))

    def records(self, experiment: str, dataset: str | None = None) -> list[RunRecord]:
        """The records of an experiment, on the page's log unless another is named; what is missing is trained first.

        Says once where it is called if some are of the first regime.
        """
        dataset = dataset or self.dataset
        records = records_of(experiment, dataset, self.profile, self.seeds, self.device, self.results_dir)
        if not self.warned and self.has_first(records):
            self.warned.append(experiment)
            display(HTML(FIRST_RUNS))
        return records

    def has_first(self, records: Sequence[RunRecord]) -> bool:
        """Are some of the records of the first regime?"""
        return self.profile == "laptop" and any(map(of_first_regime, records))

    def claims(self, *names: str, datasets: Sequence[str] = ()) -> list[Claim]:
        """The claims whose names begin so, on the page's log unless others are named, judged as in the ledger."""
        return Ledger(datasets or [self.dataset], self.profile, self.seeds, self.results_dir).claims(*names)

    @property
    def command(self) -> str:
        """The command that executes the notebook with these parameters, in a shell at the project's root."""
        given = {"dataset": self.dataset, "profile": self.profile}
        if self.seeds is not None:
            given["seeds"] = ",".join(map(str, seeds_of(self.profile, self.seeds)))
        if self.device != "auto":
            given["device"] = self.device
        options = " ".join(f"-p {name} {value}" for name, value in given.items())
        return f"papermill {options} book/{self.notebook}.ipynb {self.notebook}_executed.ipynb"

    def figure(self, name: str, chapter: ModuleType, *drawn: object) -> None:
        """Draw the figure of that name of the chapter, save it with its numbers, and show it.

        drawn: what it is drawn from. Its description gives in words what the numbers show, for readers who do not see
        the figure.
        """
        draw, describe = chapter.FIGURES[name]
        figure, data = draw(*drawn)
        description = describe(data)
        svg = save_figure(figure, data, name, self.figures_dir, description)
        plt.close(figure)
        display({"image/svg+xml": svg, "text/plain": description}, raw=True)

    def sources(
        self,
        name: str,
        records: Sequence[RunRecord] = (),
        chart: dict | None = None,
        made_by: str = "the notebook, from nothing",
    ) -> HTML:
        """What stands below a figure: links to its files, the command that makes it, and where its runs come from.

        The links are those of the built book, which has `figures/` beside its pages. records: those that the figure
        shows. made_by: what its numbers come from, if from none. chart: a Vega-Lite specification of the interactive
        figure that takes its place where JavaScript runs.
        """
        files = {
            "data (CSV)": f"figures/data/{name}.csv",
            "SVG": f"figures/{name}.svg",
            "PNG": f"figures/{name}.png",
            "notebook": f"_sources/{self.notebook}.ipynb",
        } | ({"all runs (CSV)": "figures/data/runs.csv"} if records else {})
        links = " · ".join(f'<a href="{path}" download>{label}</a>' for label, path in files.items())
        first = self.has_first(records)
        anew = "<p>It reads the stored records; with <code>-p results_dir _build/runs</code> it trains "
        anew += "runs of the regime instead.</p>" if first else "anew.</p>"
        facts = {"made by": made_by}
        if records:
            regime = {"regime": "the first; these runs are only read"} if first else {}
            facts = {"profile": self.profile} | regime | provenance(records)
        rows = "".join(f"<dt>{label}</dt><dd>{escape(text)}</dd>" for label, text in facts.items())
        spec = "" if chart is None else json.dumps(chart, separators=(",", ":")).replace("<", "\\u003c")
        script = spec and f'<script type="application/json" class="interactive-chart">{spec}</script>'
        return HTML(
            '<details class="sources"><summary>Data, command and provenance</summary>'
            f'<p class="links">{links}</p><pre tabindex="0">{escape(self.command)}</pre>{anew * bool(records)}'
            f"<dl>{rows}</dl></details>{script}"
        )
