"""`python -m paper_code.book`: `set-up`, `build` and `test` as in `environment`, the rest as in `build`."""

import sys

from paper_code.book.environment import ACTIONS, BIN

if sys.argv[1:2] and sys.argv[1] in ACTIONS:
    sys.exit(ACTIONS[sys.argv[1]]())
try:
    from paper_code.book.build import main
except ModuleNotFoundError as error:
    sys.exit(f"{error}: do `python -m paper_code.book set-up`, then use {BIN / 'python'}")
sys.exit(main())
