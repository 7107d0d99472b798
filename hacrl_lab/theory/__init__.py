"""The paper's results as functions that compute them exactly, by enumeration of small problems in float64.

problems       small problems, their sequence distributions and expected rewards
groups         E[μ̂] and E[A], over everything that a group of rollouts can be rewarded
gradients      ∇J_homo and ∇J_hete, C, Z and the alignment of Theorem D.11
capability_window   the ratio ω when it is measured: Remark D.2 and its concentration
passing        which cross rollouts pass the clip, and the length from which right answers do
passing_chance the chance that they pass: limits, normal approximation, exact law
twins          the same quantities from the functions that train, on enumerated and on sampled rollouts

The gradients here are formulas of their own and share no code with the objectives that train. What is taken over from
the core is what the expectations are *of*: rules from rewards to advantages, the capability tracker, tabular policies.
"""
