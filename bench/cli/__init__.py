"""The command `bench`: finds the verb, runs it, turns errors into messages and exit statuses.

Each verb is one file here with a `SUMMARY`, `options(parser)` and `main(args) -> int`; only the chosen one is imported,
so that `bench --help`, which lists them, answers at once. What verbs share:

verbs             which there are, and their arguments
announce          what people are told on standard error
summary           what is said of a finished run
flags             words with dashes that no verb takes
once              files of a set are looked at once a command
completion        shell completion
reference         the whole reference as plain data
sweep_arguments   which sweep a command line asks for
sweep_launch      running what a plan left to do
sweep_outcome     what is said of a launch that is over
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import signal
import sys

from bench.cli.verbs import VERBS, Parser, parser_of
from bench.disk import FULL, disk_full, error_number, no_locks
from bench.hashing import start_again
from bench.schema.errors import RequestError, unknown_name
from bench.schema.secrets import remember

CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
DONE, FAILED, WRONG_REQUEST = 0, 1, 2


def main(argv: list[str] | None = None) -> int:
    """Entry point of the console script. Exit status: 0 done, 1 a run failed, 2 the request was wrong."""
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    for word in argv:
        if "://" in word:
            remember(word)
    try:
        return _dispatch([a for a in argv if a != "--debug"])
    except RequestError as error:
        if debug:
            return show_traceback()
        return complain(str(error), as_json="--json" in argv)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output went away (`bench table | head`): no message, and none at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if debug:
            return show_traceback()
        if isinstance(error, OSError) and error_number(error) in FULL:  # out of some library
            return complain(str(disk_full(error.filename)), "--json" in argv)
        if isinstance(error, OSError) and error_number(error) == errno.ENOLCK:
            return complain(str(no_locks(error.filename)), "--json" in argv)
        if isinstance(error, OSError) and error_number(error) in CLOSED:
            return complain(
                f"{os.strerror(error_number(error))}: {error.filename or error}. Open it to this user, or work in a "
                "folder that you may read and write.",
                "--json" in argv,
            )
        return complain(f"{type(error).__name__}: {error}\nRun again with --debug for the traceback.", "--json" in argv)


def shell() -> int:
    """What the console script calls: `main`, and an end that does not take every imported library apart first.

    Python would free the modules one by one, which takes a second where torch or MLflow are among them. It begins by
    starting itself again (`bench.hashing`).
    """
    start_again()
    from bench.schema.names import Harmless, tolerate_narrow_encoding

    for stream in (sys.stdout, sys.stderr):
        tolerate_narrow_encoding(stream)
    if sys.stdout is not None:
        sys.stdout = Harmless(sys.stdout)
    ended: list[int] = []
    atexit.register(_leave, ended)  # the first that is registered is the last that is called
    ended.append(main())
    return ended[0]


def _leave(ended: list[int]) -> None:
    """End the process with the status that is there, if any; an error that is on its way out tells itself."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # closed by whoever called
                stream.flush()
    except OSError:  # the reader went away, which Python says in its own way
        return
    if ended:
        os._exit(ended[0])


def complain(message: str, as_json: bool) -> int:
    """Say what was wrong on standard error; programs get one JSON object on standard output."""
    from bench.schema.names import make_printable
    from bench.schema.secrets import redact_text

    message = make_printable(redact_text(message))
    print(f"bench: {message}", file=sys.stderr)
    if as_json:
        print(json.dumps({"status": "error", "error": message}))
    return WRONG_REQUEST


def show_traceback() -> int:
    """The traceback that --debug asks for, on standard error, without anybody's password."""
    import traceback

    from bench.schema.secrets import redact_text

    print(redact_text(traceback.format_exc()), file=sys.stderr, end="")
    return WRONG_REQUEST


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return DONE
    if argv[0] in ("-sc", "--shell-completion"):
        from bench.cli.completion import answer

        return answer(argv[1:])
    if argv[0] == "--version":
        from bench import __version__

        print(f"imagebench {__version__}")
        return DONE
    if argv[0] == "help":  # `bench help sweep`, as other programs have it
        return _dispatch([*argv[1:2], "--help"])
    verb = argv[0]
    if verb not in VERBS:
        raise unknown_name("verb", verb, VERBS, "'bench --help' lists them.")
    parser, module = parser_of(verb)
    if getattr(module, "HYDRA_APP", False):
        args, rest = parser.parse_known_args(argv[1:])
        _refuse_flags(parser, rest, of_hydra=True)
        args.hydra = rest
    else:
        args, rest = parser.parse_known_intermixed_args(argv[1:])
        if rest:
            _refuse_flags(parser, rest, of_hydra=False)
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if args.parts is not None:
        from bench.parts.listing import use

        use(args.parts)
    return int(module.main(args))


def _refuse_flags(parser: Parser, words: list[str], of_hydra: bool) -> None:
    """Refuse words with dashes that neither the verb nor, where it passes them on, Hydra takes.

    Raises:
        RequestError: with what was probably meant.
    """
    from bench.cli.flags import HYDRAS, hint

    known = [o for action in parser._actions for o in action.option_strings]
    for i, word in enumerate(words):
        if word.startswith("-") and not (of_hydra and word.split("=")[0] in HYDRAS):
            overrides = of_hydra or any("OVERRIDE" in str(a.metavar) for a in parser._actions)
            remedy = hint(words[i:], known, overrides) or f" '{parser.prog} --help' shows what it takes."
            raise RequestError(f"'{parser.prog}' has no flag '{word.split('=')[0]}'.{remedy}")


def overview() -> str:
    """The text of `bench --help`."""
    lines = ["usage: bench VERB [OPTIONS] [OVERRIDES]", "", "Benchmarks for image classification.", ""]
    lines += [f"  bench {verb:<10} {text}" for verb, text in VERBS.items()]
    lines += [
        "",
        "Overrides are Hydra's: dataset=mnist5k model=cnn optim.lr=0.01. Every verb takes --json and --help.",
        "Exit status: 0 done, 1 a run failed or a verdict disagrees, 2 the request was wrong.",
    ]
    return "\n".join(lines)
