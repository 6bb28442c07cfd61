"""The exponential average of a model's weights in the course of training, as a model of its own."""

from copy import deepcopy

import torch
from torch import nn


class WeightAverage:
    """After n updates its model has the mean of the n weights that it saw, the latest first weighing 1, decay, decay^2
    and so on; the running statistics of batch normalisation are averaged alike.

    The last iterate of Adam at a constant learning rate swings about; its average does not (Polyak and Juditsky, 1992;
    the exponential form is that of Kingma and Ba, 2015, Section 7.2, with their correction for the start).
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self.model = deepcopy(model).eval().requires_grad_(False)
        pairs = zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        floating = [(average, current) for average, current in pairs if current.is_floating_point()]
        self.averages, self.currents = map(list, zip(*floating, strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now; they must still be where they were when the average was made."""
        self.updates += 1
        torch._foreach_lerp_(self.averages, self.currents, (1 - self.decay) / (1 - self.decay**self.updates))
