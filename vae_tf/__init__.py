"""Variational autoencoders at work: trained on good parts, exported to TFLite, run on a device.

    from vae_tf import VAE, load_data

The names below are imported when first used, so that `python -m vae_tf --help` does not wait for
TensorFlow.
"""

from __future__ import annotations

import importlib
import os
import platform
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# TensorFlow reads these when it is imported. oneDNN's convolutions train up to twice as fast as its
# own, but by itself it takes them on processors with AVX-512 alone. Two cores are better used by
# several operations at a time than by one on both: pictures are few in a step, and small.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
if (os.cpu_count() or 1) <= 2:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "3")

_HOMES = {
    "VAE": "vae_tf.vae",
    "Config": "vae_tf.config",
    "DataConfig": "vae_tf.config",
    "Detector": "vae_tf.detector",
    "Muon": "vae_tf.muon",
    "Run": "vae_tf.run",
    "RestoringVAE": "vae_tf.restoring",
    "explore": "vae_tf.uses.sliders",
    "load_data": "vae_tf.data",
    "load_test": "vae_tf.data",
}
__all__ = [
    "VAE",
    "Config",
    "DataConfig",
    "Detector",
    "Muon",
    "RestoringVAE",
    "Run",
    "__version__",
    "explore",
    "load_data",
    "load_test",
]

if TYPE_CHECKING:
    from vae_tf.config import Config, DataConfig
    from vae_tf.data import load_data, load_test
    from vae_tf.detector import Detector
    from vae_tf.muon import Muon
    from vae_tf.restoring import RestoringVAE
    from vae_tf.run import Run
    from vae_tf.uses.sliders import explore
    from vae_tf.vae import VAE


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'vae_tf' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
