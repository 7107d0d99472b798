"""Two tokenizers that cut the same text differently, as the tokenizers of different model families do."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from hacrl_runs.own_pair.recipes import NumberSplit

END, PAD = "<|end|>", "<|pad|>"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_NUMBERS = {"digits": r"\p{N}", "groups": r"\p{N}{1,3}"}
_REST = r" ?[^\s\p{L}\p{N}]+|\s+"


def train_tokenizer(texts: Iterable[str], numbers: NumberSplit, vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on ``texts``; it can encode any text without loss.

    Args:
        texts: the training corpus.
        numbers: how numbers are cut.
        vocab_size: upper bound on the vocabulary, at least 258 (256 bytes and two special tokens).
    """
    tokenizer = Tokenizer(models.BPE())
    pattern = "|".join((_WORDS, _NUMBERS[numbers], _REST))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(END, special=True), AddedToken(PAD, special=True)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
