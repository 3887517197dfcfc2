"""A model with three options in each of four layers: 81 architectures."""

from torch import nn

import raynas


def conv(kernel):
    """Return a convolution of 16 channels with batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(16, 16, kernel, padding=kernel // 2), nn.BatchNorm2d(16), nn.ReLU())


def layer(name):
    """Return a layer that is still to be chosen."""
    return raynas.Choice(name, {"conv3": conv(3), "conv5": conv(5), "skip": nn.Identity()})


class Net(nn.Module):
    """A chain of choices."""

    def __init__(self, input_shape, classes):
        super().__init__()
        self.stem = nn.Conv2d(input_shape[0], 16, 3, padding=1)
        self.layers = nn.Sequential(*(layer(f"layer{i}") for i in range(1, 5)))
        self.head = nn.Linear(16, classes)

    def forward(self, x):
        """(B, C, H, W) -> (B, K)."""
        return self.head(self.layers(self.stem(x)).mean((2, 3)))
