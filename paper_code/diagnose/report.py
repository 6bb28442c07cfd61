"""What was measured, as text for a terminal and as JSON, with a reading in plain words."""

import json
from dataclasses import asdict, dataclass, replace
from textwrap import fill

from paper_code.diagnose.arrays import PassedOver, printable
from paper_code.diagnose.measures import COLLAPSED_BELOW, LayerMeasures, TableMeasures
from paper_code.diagnose.text import aligned, counted, interval_of, rounded, shortened

MOST_LEFT_OUT = 20
"""What the text for a terminal shows of what was left out."""


@dataclass(frozen=True)
class LeftOut:
    """A matrix that was not measured, and why. faulty: it was taken as a table, but its numbers cannot be measured."""

    name: str
    shape: tuple[int, ...]
    reason: str
    faulty: bool = False


@dataclass(frozen=True)
class Report:
    """The embedding tables of a model, measured; `str` of it is the text for a terminal.

    source: what was given. found_by: the rule by which the tables were taken. left_out: what has two axes or more and
    was not measured. not_looked_into: parts of the source, such as other files of a folder. layers: what the layers
    give for a batch, in the order in which they ran, if there was one.
    """

    source: str
    found_by: str
    tables: tuple[TableMeasures, ...]
    left_out: tuple[LeftOut, ...]
    not_looked_into: tuple[PassedOver, ...] = ()
    layers: tuple[LayerMeasures, ...] = ()

    def reading(self) -> list[str]:
        """What the tables say together, what the paper would suggest, and what that does not tell, a sentence or more
        each."""
        return [*self.answer(), *self.next_steps(), *self.limits()]

    def judged(self) -> list[TableMeasures]:
        """The tables that have a verdict, the most collapsed first."""
        judged = [table for table in self.tables if table.verdict in ("collapsed", "not collapsed")]
        return sorted(judged, key=lambda table: table.share_of_random)

    def answer(self) -> list[str]:
        judged = self.judged()
        collapsed = [table for table in judged if table.verdict == "collapsed"]
        unjudged = len(self.tables) - len(judged)
        lines = [f"Look at {table.title}. {printable(table.warning)}" for table in self.tables if table.warning]
        if judged:
            lines.append(
                f"Collapsed: {len(collapsed)} of {len(judged)}, with an information abundance below {COLLAPSED_BELOW} "
                'of that of random matrices of the same shape, the bound of the claim "embedding-collapse".'
            )
        if unjudged:
            lines.append(
                f"Not judged: {unjudged}, with fewer rows than columns or nothing but zeros. The fewer the rows, the "
                "less a share tells."
            )
        if collapsed:
            few = ", ".join(f"{it.title} ({it.energy_dimensions} of {it.columns})" for it in collapsed[:5])
            more = f" and {len(collapsed) - 5} more" if len(collapsed) > 5 else ""
            lines.append(f"The most collapsed, with the dimensions that carry 99 % of the energy: {few}{more}.")
        by_mean = [
            it.title
            for it in collapsed
            if "centred" in it.as_used and (it.as_used["centred"].share_of_random or 0) >= COLLAPSED_BELOW
        ]
        if by_mean:
            lines.append(
                f"Collapsed by what their rows have in common alone, and not when centred: {', '.join(by_mean[:8])}."
            )
        few_samples = [it for it in self.layers if it.rows < it.columns]
        if few_samples:
            lines.append(
                f"The batch has fewer samples than {len(few_samples)} of {len(self.layers)} layers have features, so "
                "that the samples bound the rank there; give a larger batch."
            )
        return lines

    def next_steps(self) -> list[str]:
        """What the paper suggests, and the evidence for it."""
        judged = self.judged()
        if any(table.verdict == "collapsed" for table in judged):
            return [
                "In the paper's experiments a larger embedding size gained little or nothing, and most dimensions of "
                "the enlarged tables stayed nearly unused (Figures 1 and 2). Further embedding sets gained more, each "
                "with an interaction of its own that has a non-linearity: multi-embedding (Section 5). The book tests "
                'it in its chapters of Figures 7 to 9; its page "Measure your own model" has a recipe.',
                "By its interaction-collapse law (Finding 1) a table of low information abundance constrains those of "
                "the fields that it interacts with, so the lowest are where to look first.",
            ]
        return [
            "By this measure nothing keeps the dimensions from being used. That alone does not make a model scale: "
            "the paper's less collapsed models whose interaction was suppressed overfitted (Finding 2)."
        ] * bool(judged)

    def limits(self) -> list[str]:
        return [
            "These are associations seen in the paper's experiments. They do not say how good this model's predictions "
            "are: only training it at other sizes can."
        ]

    def __str__(self) -> str:
        text = f"{printable(self.source)}: {printable(self.found_by)}\n\n"
        parts = [aligned([row_of(table) for table in self.tables])] if self.tables else []
        if used := [used_row(table) for table in self.tables if table.as_used]:
            parts.append(f"Share of random, as the tables are used:\n{aligned(used)}")
        if self.layers:
            parts.append(f"What the layers give for the batch:\n{aligned([layer_row(it) for it in self.layers])}")
        text += "\n\n".join([*parts, "\n".join(fill(line, 100) for line in self.reading())])
        for title, lines in self.lists().items():
            more = len(lines) - MOST_LEFT_OUT
            shown = lines[:MOST_LEFT_OUT] + [f"and {more} more"] * (more > 0)
            text += f"\n\n{title}:\n" + "\n".join(f"  {line}" for line in shown)
        return text

    def lists(self) -> dict[str, list[str]]:
        """What was not measured and not looked into, a line each, if there is any."""
        lists = {
            "Not measured": [printable(f"{it.name} {it.shape}: {it.reason}") for it in self.left_out],
            "Not looked into": [printable(f"{it.name}: {it.reason}") for it in self.not_looked_into],
        }
        return {title: lines for title, lines in lists.items() if lines}

    def to_json(self) -> str:
        """`values` as JSON; all numbers are finite."""
        return json.dumps(self.values(), allow_nan=False)

    def values(self) -> dict[str, object]:
        """The report as plain mappings and lists.

        Keys: format (3), source, found_by, collapsed_below, energy_share, reading (a list of sentences), tables,
        layers, left_out and not_looked_into. A table has the attributes of `TableMeasures` but for its directions
        (field, warning and the measures may be null) with verdict and reading; what was left out has name, shape,
        reason and faulty, a layer the attributes of `LayerMeasures`, what was not looked into name and reason.
        """
        return {
            "format": 3,
            "source": self.source,
            "found_by": self.found_by,
            "collapsed_below": COLLAPSED_BELOW,
            "energy_share": 0.99,
            "reading": self.reading(),
            "tables": [values_of(it) for it in self.tables],
            "layers": [asdict(it) for it in self.layers],
            "left_out": [asdict(it) for it in self.left_out],
            "not_looked_into": [asdict(it) for it in self.not_looked_into],
        }

    def to_html(self) -> str:
        """The report as one page that needs nothing else: no scripts, no other files; light, dark and in print."""
        from paper_code.diagnose.page import report_page

        return report_page(self)


def row_of(table: TableMeasures) -> dict[str, str]:
    """The columns of the table on a terminal."""
    return {
        "table": shortened(table.title),
        "rows": f"{table.rows:,}",
        "columns": str(table.columns),
        "abundance": rounded(table.information_abundance),
        "random": rounded(table.random_information_abundance),
        "share": rounded(table.share_of_random),
        "95 % of random": interval_of(table),
        "effective rank": rounded(table.effective_rank),
        "99 % energy": counted(table.energy_dimensions),
        "above noise": counted(table.above_noise),
        "verdict": table.verdict,
    }


def used_row(table: TableMeasures) -> dict[str, str]:
    row = {"table": shortened(table.title), "as stored": rounded(table.share_of_random)}
    for view in ("centred", "row_normalised", "weighted", "shuffled"):
        found = table.as_used.get(view)
        row[view.replace("_", "-")] = rounded(found and found.share_of_random)
    return row


def layer_row(layer: LayerMeasures) -> dict[str, str]:
    return {
        "layer": shortened(layer.title),
        "kind": layer.kind,
        "samples": f"{layer.rows:,}",
        "features": str(layer.columns),
        "effective rank": rounded(layer.effective_rank),
        "abundance": rounded(layer.information_abundance),
        "share": rounded(layer.share_of_random),
        "stable rank": rounded(layer.stable_rank),
        "alpha": rounded(layer.alpha),
    }


def values_of(table: TableMeasures) -> dict[str, object]:
    values = asdict(replace(table, directions=None)) | {"verdict": table.verdict, "reading": table.reading()}
    del values["directions"]
    return values
