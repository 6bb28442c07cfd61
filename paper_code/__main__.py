"""The command `paper-code`, or `python -m paper_code`."""

import sys

from paper_code.cli import main

if __name__ == "__main__":
    sys.exit(main())
