"""What vLLM is told of a sampling; the engine itself is tested where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch

from hacrl_lab.language_models.sampler import SamplingSettings
from hacrl_lab.language_models.vllm_sampler import VLLMSampler
from hacrl_lab.sampling import Sampling


class WithoutEngine(VLLMSampler):
    """Keeps how it was told to sample, and answers with the stop token."""

    def __init__(self) -> None:
        self._outdated = False

    def _generate(
        self,
        prompts: Sequence[Sequence[int]],
        samples: int,
        length: int,
        stop_tokens: Sequence[int],
        seed: int,
        drawn: Mapping[str, float],
    ) -> list[tuple[list[int], list[float]]]:
        self.drawn = dict(drawn)
        return [([stop_tokens[0]], [0.0])] * (len(prompts) * samples)


@pytest.mark.parametrize(
    ("settings", "drawn"),
    [
        ({}, {"temperature": 1.0, "top_p": 1.0, "top_k": 0}),
        ({"sampling": Sampling(0.6, 0.95, 20)}, {"temperature": 0.6, "top_p": 0.95, "top_k": 20}),
        ({"greedy": True}, {"temperature": 0.0}),
        ({"greedy": True, "sampling": Sampling(0.6)}, {"temperature": 0.0}),
    ],
    ids=["training", "evaluation", "greedy", "greedy-evaluation"],
)
def test_evaluations_tell_vllm_how_to_sample(settings: dict, drawn: dict[str, float]) -> None:
    sampler = WithoutEngine()
    contexts = torch.tensor([[3, 4], [0, 5]])
    batch = sampler.sample(contexts, contexts > 0, 2, SamplingSettings(4, (1,), 1, "a", **settings), seed=0)
    assert sampler.drawn == drawn
    assert batch.finished.tolist() == [[True, True], [True, True]]
