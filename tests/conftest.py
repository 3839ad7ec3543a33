"""What all tests share: one thread per process, and no deadline for hypothesis on machines that are busy."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded
settings.register_profile("cellsearch", deadline=None)
settings.load_profile("cellsearch")
