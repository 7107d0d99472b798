"""The paper's results as functions that compute them exactly, by enumeration of small problems in float64.

problems       small problems, their sequence distributions and expected rewards
groups         E[μ̂] and E[A], over everything that a group of rollouts can be rewarded
gradients      ∇J_homo and ∇J_hete, C, Z and the alignment of Theorem D.11
capability_window   the ratio ω when it is measured: Remark D.2 and its concentration
twins          the same quantities from the functions that train, on enumerated and on sampled rollouts

Nothing here but ``twins`` calls the code that trains; the theorems' tests compare the two.
"""
