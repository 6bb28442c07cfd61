"""What the toy experiment of Appendix A gives; apart from it, for to read a result needs no PyTorch."""

from dataclasses import dataclass

import numpy as np

from paper_code.spectra import information_abundance_of


@dataclass(frozen=True)
class ToyResult:
    """E_1 in the course of training.

    third_cardinality: D_3. seeds: (seeds,). iterations: (points,), the first 0. singular_values: (seeds, points, K).
    """

    third_cardinality: int
    seeds: tuple[int, ...]
    iterations: np.ndarray
    singular_values: np.ndarray

    @property
    def information_abundance(self) -> np.ndarray:
        """IA(E_1), (seeds, points)."""
        return np.apply_along_axis(information_abundance_of, 2, self.singular_values)
