"""The command line: prepare, train, sweep, verify, toy, claims, diagnose."""

import argparse
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module

COMMANDS = {
    "prepare": "encode a raw click log",
    "train": "train one model and store its record",
    "sweep": "train all runs that figures need",
    "verify": "train stored records anew and compare",
    "claims": "print the verdict on every claim",
    "toy": "the toy experiment of Appendix A",
    "diagnose": "measure how collapsed the embedding tables of a file are",
}
EXTRAS = {"claims": "book"}
"""The extra of this package that a command needs, if it is another than `torch`; that of a file is named by its reader.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 1 after an error with its message, 130 after Ctrl-C.

    Who reads the output may stop at any line, as `head -1` does: the rest is then written to nobody.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = build_parser(arguments).parse_args(arguments)
        with quiet_when_interrupted():
            for module in options.imports:
                import_module(module)
        options.command(options)
        print(end="", flush=True)
    except SystemExit:  # after --help
        with suppress(BrokenPipeError):
            print(end="", flush=True)
        output_is_read()
        raise
    except ModuleNotFoundError as error:
        command = next(it for it in arguments if it in COMMANDS)
        extra = EXTRAS.get(command, "torch")
        print(f"paper-code: {command} needs {error.name}: pip install 'paper-code[{extra}]'", file=sys.stderr)
        return 1
    except (OSError, ValueError, RuntimeError, ArithmeticError, ImportError) as error:
        if isinstance(error, BrokenPipeError) and not output_is_read():
            return 0
        print(f"paper-code: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("paper-code: interrupted; records already written are kept", file=sys.stderr)
        return 130
    return 0


@contextmanager
def quiet_when_interrupted() -> Iterator[None]:
    """Ctrl-C ends the program with a line, for the time of the block, which imports: not by an exception, which the
    package that is being imported might catch or turn into another."""
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def leave(*_: object) -> None:
    os.write(sys.stderr.fileno(), b"paper-code: interrupted before it began\n")
    os._exit(130)


def output_is_read() -> bool:
    """Whether somebody still reads the standard output; if not, what is written to it from now on is dropped."""
    try:
        output = sys.stdout.fileno()
    except (AttributeError, OSError):  # there is none, or one in memory
        return True
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    poll.register(output, 0)
    if not any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0)):
        return True
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return False


class Version(argparse.Action):
    """Prints which version is installed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"paper-code {version('paper-code')}, Python {sys.version.split()[0]}")
        parser.exit()


def build_parser(arguments: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser of the command line. arguments: of it; only the command that they name gets its own, for that takes
    imports. None: every command does."""
    parser = argparse.ArgumentParser(
        prog="paper-code",
        description="Companion to 'On the Embedding Collapse When Scaling Up Recommendation Models': prepare logs, "
        "train its models, make the records behind its figures, measure tables of your own.",
        epilog="example: paper-code train --dataset criteo_like --model dcnv2\n\n"
        "`paper-code COMMAND --help` explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        if arguments is None or name in arguments:
            import_module(f"paper_code.commands.{name}").add(commands, name, summary)
        else:
            commands.add_parser(name, help=summary)
    return parser
