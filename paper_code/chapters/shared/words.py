"""Numbers and lists in the words that describe a figure."""

from collections.abc import Iterable, Mapping

import numpy as np

EMBEDDING_LABELS = {"SE": "single", "ME": "multi"}


def abundance_text(value: float) -> str:
    """Two significant digits, never with an exponent."""
    return f"{value:.1f}" if abs(value) < 9.95 else f"{float(f'{value:.2g}'):.0f}"


def gain_text(value: float) -> str:
    return f"{round(value, 4) + 0.0:+.4f}"  # no minus before zero


def size_text(scale: float) -> str:
    return "base" if scale == 1 else f"{scale:.0f}x"


def run_label(embedding: str, scale: float) -> str:
    """A run of a model by its embedding and size; at the base both embeddings are one."""
    return "base" if scale == 1 else f"{EMBEDDING_LABELS[embedding]} {size_text(scale)}"


def sizes_text(scales: Iterable[float]) -> str:
    return listed([size_text(scale) for scale in sorted(set(scales))])


def listed(parts: Iterable[str]) -> str:
    """a, b and c"""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def by_log(texts: Mapping[str, str]) -> str:
    """What is said of each log: once if it is the same of all, else "a on one and b on another"."""
    said = set(texts.values())
    return said.pop() if len(said) == 1 else listed(f"{text} on {log}" for log, text in texts.items())


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def interval_text(half: float) -> str:
    return f" ± {half:.4f}" if half else ""


def plain_text(value: float) -> str:
    """As one reads it aloud: no e-05."""
    return f"{value:g}" if value == 0 or value >= 1e-4 else f"10^{np.log10(value):.0f}"


def p_text(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"
