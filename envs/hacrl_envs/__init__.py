"""What the agents are asked: prompts and verifiable rewards.

Importing the package registers its Gymnasium environments.
"""

import gymnasium

gymnasium.register(id="hacrl_lab/ContextualBandit-v0", entry_point="hacrl_envs.bandit:ContextualBanditEnv")
gymnasium.register(id="hacrl_lab/LongAnswers-v0", entry_point="hacrl_envs.long_answers:LongAnswerEnv")
gymnasium.register(id="hacrl_lab/TokenChain-v0", entry_point="hacrl_envs.chain:TokenChainEnv")
