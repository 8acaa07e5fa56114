"""How properties are tried: as many examples on a busy machine as on an idle one."""

from hypothesis import HealthCheck, settings

# A busy build machine is slow, not wrong.
quick = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
