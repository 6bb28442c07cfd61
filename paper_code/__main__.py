"""The command `paper-code`, or `python -m paper_code`: quiet when it is interrupted while it is still importing."""

import os
import signal
import sys


def main() -> int:
    """Run `paper_code.cli.main` on the command line's arguments."""
    # not an exception, which the package that is being imported might catch or turn into another
    before = signal.signal(signal.SIGINT, leave)
    from paper_code import cli  # some seconds, mostly PyTorch

    signal.signal(signal.SIGINT, before)
    return cli.main()


def leave(*_: object) -> None:
    os.write(sys.stderr.fileno(), b"paper-code: interrupted before it began\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
