"""pytest's plugin for a machine of a tenth of the speed: property tests have no deadline.

They try fewer examples too: what they look for is the same on every processor.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "patient",
    deadline=None,
    database=None,
    max_examples=25,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("patient")
