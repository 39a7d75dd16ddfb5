"""From a run directory to a SavedModel and a verified bundle for the device."""

import vae_tf  # noqa: F401, before TensorFlow, for which it sets something
