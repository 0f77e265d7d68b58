"""A Kedro project that trains an image classifier on CIFAR-10 or own images, evaluates it and explains mistakes."""

import os

# At import, albumentations looks for updates on the internet, which delays or fails on a machine without a network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
