"""pytest's plugin for a machine of a hundredth of the speed: no property test has a deadline."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "patient", deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("patient")
