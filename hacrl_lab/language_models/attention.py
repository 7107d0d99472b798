"""Attention of our own in transformers models, for the time of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

WITHOUT_EFFECT = ("dropout", "position_ids", "use_cache", "output_router_logits")
"""What transformers hands to attention and ours has no use for."""
DOES_NOT_FIT = (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a model raises whose attention or cache is of another kind."""


@contextmanager
def attending(model: Any, implementation: str) -> Iterator[None]:
    """Within it, a model's attention is another one.

    Args:
        model: a causal language model.
        implementation: as transformers names it.
    """
    before = model.config._attn_implementation
    model.config._attn_implementation = implementation
    try:
        yield
    finally:
        model.config._attn_implementation = before


def as_in_forward(model: Any) -> Callable[[], tuple[AbstractContextManager[None], AbstractContextManager[None]]]:
    """What ``torch.utils.checkpoint`` calls: activations are computed again with the attention that they had."""
    return lambda: (nullcontext(), attending(model, model.config._attn_implementation))


def refuse_unknown(options: Mapping[str, Any]) -> None:
    """Make sure that a layer asks for nothing but plain attention.

    Args:
        options: all that it hands over beside queries, keys, values and their scale.

    Raises:
        NotImplementedError: it has a cap of its scores, a window or the like.
    """
    unknown = [name for name, value in options.items() if value is not None and name not in WITHOUT_EFFECT]
    if unknown:
        raise NotImplementedError(f"attention with {', '.join(unknown)}")
