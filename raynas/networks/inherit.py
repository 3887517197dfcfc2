"""Weights from a parent supernet to a sub-supernet (Few-shot NAS, ICML 2021): what the child has, it takes over."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


def inherit(child: nn.Module, parent_state: Mapping[str, Tensor]) -> None:
    """Copy the parent's weights and buffers into a sub-supernet of it.

    Before training, the child's logits equal the parent's on every architecture that both hold.

    Args:
        child: A supernet of a subspace of the parent's space, built with the same options.
        parent_state: The parent's ``state_dict()``.

    Raises:
        ValueError: The child has a tensor that the parent has not, or of another shape.
    """
    own = child.state_dict()
    wrong = [
        name for name, tensor in own.items() if name not in parent_state or parent_state[name].shape != tensor.shape
    ]
    if wrong:
        raise ValueError(f"not a supernet of a subspace of the parent: {len(wrong)} tensors differ, first {wrong[0]}")
    child.load_state_dict({name: parent_state[name] for name in own})
