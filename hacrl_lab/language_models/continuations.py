"""Texts that continue a prompt, as a tokenizer's tokens and back, character by character.

Tokenizers are made for texts that begin. Some put a space before the first word (those of Llama 2 and Mistral) and take
it away again when they decode; some write other characters for the same letter (Qwen's composes accents). A response
does not begin a text, and what other agents learn from must be what was said, so these steps are left out here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from hacrl_lab.errors import ModelLoadError

PROBE = (
    "Two  spaces, a line\n\n\tand 1234567 + 0.5 - 8,000: $\\frac{1}{2}x^2 \\le a_1$ \\boxed{\\text{no}}; "
    "caf\u00e9 x\u00b2 \u2192 \u00bd \u221a2, \u0395\u03bb\u03bb\u03ac\u03b4\u03b1, \u043c\u0438\u0440, \u4f60\u597d, "
    "\u0645\u0631\u062d\u0628\u0627, \u0939\u093f\u0928\u094d\u0926\u0940\n"
)
"""Spaces, lines, digits, LaTeX and other scripts; a tokenizer must give it back as it was."""
SHOWN = 24
"""Characters of a difference that a message shows."""
_NOT_INSIDE = ("Prepend", "NFC", "NFD", "NFKC", "NFKD")
"""Normalizers that prepare a text that begins, or write it in one of Unicode's normal forms."""


def encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of texts that continue another one.

    A text that spells a special token stays ordinary characters: it cannot end an answer in its middle.
    """
    with _inside_a_text(tokenizer):
        rows = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return cast("list[list[int]]", rows)


def decoded(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[int]]) -> list[str]:
    """The texts of tokens that continue others, without special tokens."""
    with _inside_a_text(tokenizer):
        texts = tokenizer.batch_decode(
            [list(row) for row in rows], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
    return cast("list[str]", texts)


def check(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Make sure that a tokenizer gives a text back as it was.

    Args:
        tokenizer: of an agent.
        name: of the agent, for the message.

    Raises:
        ModelLoadError: it does not, for instance because transformers reads it through another family's class.
    """
    for text in (PROBE, f" {PROBE}"):
        [back] = decoded(tokenizer, encoded(tokenizer, [text]))
        if back != text:
            place = next((i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), len(back))
            was, became = (one[max(0, place - SHOWN // 2) :][:SHOWN] for one in (text, back))
            raise ModelLoadError(
                f"the tokenizer of agent {name!r} loses or changes characters, so others could not learn from what it "
                f"says: {was!r} becomes {became!r} (transformers reads it as a {type(tokenizer).__name__}; if that is "
                "another family's, tokenizer_class in tokenizer_config.json or model_type in config.json is wrong)"
            )


@contextmanager
def _inside_a_text(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """Within it, the tokenizer treats a text as a part of another one."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    names = ("normalizer", "pre_tokenizer", "decoder")
    parts = {} if backend is None else {name: getattr(backend, name) for name in names}
    others = {name: other for name, part in parts.items() if (other := _within(part)) is not part}
    for name, other in others.items():
        setattr(backend, name, other)
    try:
        yield
    finally:
        for name in others:
            setattr(backend, name, parts[name])


def _within(part: Any) -> Any:
    """A part of a tokenizer as it treats what does not begin a text; the part itself if that is the same."""
    if part is None:
        return None
    state = json.loads(part.__getstate__())
    changed = _changed(state)
    if changed == state:
        return part
    if changed is None:
        return None
    other = copy(part)
    other.__setstate__(json.dumps(changed).encode())
    return other


def _changed(state: dict[str, Any]) -> dict[str, Any] | None:
    """The description of a part, as the library tokenizers writes it, changed; None: it is left out."""
    kind = state["type"]
    if kind in _NOT_INSIDE:
        return None
    if kind == "Strip" and "content" in state:  # a decoder's, of the space that was put before the text
        return {**state, "start": 0}
    if kind == "Metaspace":
        return {**state, "prepend_scheme": "never"}
    if kind == "ByteLevel":
        return {**state, "add_prefix_space": False}
    parts = {name: value for name, value in state.items() if isinstance(value, list) and kind == "Sequence"}
    return state | {name: [one for one in map(_changed, value) if one is not None] for name, value in parts.items()}
