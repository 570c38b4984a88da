"""`python -m services.audit [--data-dir DIR] [--dsn DSN]`; see README.md."""

import sys

from services.audit.main import main

sys.exit(main())
