"""`python -m devhost.host`."""

import sys

from devhost.host.cli import main

sys.exit(main())
