"""`python -m mldlc` is the `mldlc` command."""

import sys

from mldlc.cli.main import main

sys.exit(main())
