"""A Kedro project that trains an image classifier on CIFAR-10 or own images, evaluates it and explains mistakes."""

import os

# Switch off albumentations' search for updates at import, which delays or fails on a machine without a network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
