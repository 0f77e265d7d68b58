"""The machine learning, in plain PyTorch and NumPy: no Kedro, nothing of the project outside this package.

One sub-package a stage: data, lr_search, training, evaluation, explain, predict, export; ``network``, which
they share; and ``report``, which renders what they stored.
"""
