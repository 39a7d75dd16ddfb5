"""Figures of the README, one command each."""

import vae_tf  # noqa: F401, before TensorFlow, for which it sets something
