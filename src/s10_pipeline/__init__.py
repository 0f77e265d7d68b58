"""CIFAR-10 from archive to explanation, as a Kedro project."""

import os

# albumentations asks its package index for updates at import: a delay, or an error, on a machine without a network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
