"""The machine learning in plain PyTorch and NumPy, usable without Kedro.

There is one sub-package per stage: data, lr_search, training, evaluation, explain, predict, export. They share
``network``. ``distributed`` trains in several processes, and ``report`` renders stored results as a page.
"""
