"""`python -m cellsearch` is the command `cellsearch`."""

import sys

from cellsearch.cli.main import main

sys.exit(main())
