"""`python -m paper_code.book`: see `build`."""

import sys

from paper_code.book.build import main

sys.exit(main())
