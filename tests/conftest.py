"""Hypothesis: the same inputs in every CI run, new ones on a laptop."""

import os

from hypothesis import settings

settings.register_profile("laptop", deadline=None, max_examples=30)
settings.register_profile("ci", parent=settings.get_profile("laptop"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")
