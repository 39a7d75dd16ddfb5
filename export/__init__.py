"""From a run directory to a SavedModel and a verified bundle for the device."""
