"""The command line: one command per verb, each one library call. Heavy imports wait until a command runs."""

import errno
import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "demo": "the whole line on a small synthetic world, ending in a report",
    "world": "render synthetic people with every factor known",
    "track": "find the people in a video and cut them out as tracklets",
    "data": "what benchmarks there are, whether a copy is sound, a copy in our own layout",
    "gait": "walks that your own LiDAR and camera saw; the texts that gait methods retrieve from",
    "caption": "texts about tracklets from a model that sees pictures; check and summarise them",
    "bank": "encode captions into the bank that training reads",
    "train": "train a recipe of a method",
    "zoo": "trained checkpoints that come with the library",
    "extract": "embeddings of tracklets",
    "evaluate": "score embeddings by a protocol",
    "compare": "score embeddings by the rules of other projects, and say why the numbers differ",
    "verify": "error rates of comparing one with one, and their DET curve",
    "identify": "error rates of looking for people who may not be enrolled",
    "advise": "a threshold for a wanted false match rate, checked on other people",
    "search": "find the gallery tracklets most alike to queries",
    "leakage": "what every space knows: how well each label can be read from it, and how sure that is",
    "counterfactual": "how far one change alone, such as other clothes, moves the features",
    "report": "one page with results, pictures and leakage",
    "reproduce": "evidence for every method on the built-in world, claim by claim",
}

USAGE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for a mistake in what was asked, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_overview())
        return 0 if given else USAGE
    if given[0] == "--version":
        import unbraid

        print(unbraid.__version__)
        return 0
    verb, rest = given[0], given[1:]
    if verb not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(verb, COMMANDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        return _fail("", f"no command {verb!r}{hint} Commands: {', '.join(COMMANDS)}")
    try:
        importlib.import_module(f"unbraid.cli.{verb}").run(rest)
    except KeyboardInterrupt:
        again = "add --resume to go on" if verb == "train" else "the same command goes on"
        print(f"\nunbraid {verb}: interrupted; what was finished is kept, {again}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, KeyError, OSError) as error:
        if os.environ.get("UNBRAID_DEBUG"):
            raise
        return _fail(verb, _message(error))
    return 0


def _fail(verb: str, message: str) -> int:
    print(f"unbraid {verb}: {message}" if verb else f"unbraid: {message}", file=sys.stderr)
    return USAGE


def _message(error: Exception) -> str:
    """One clear sentence for an error; operating-system errors get advice."""
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
        advice = ". Free space or choose another place; what was finished is kept" if full else ""
        return f"{where}{error.strerror}{advice}"
    return str(error.args[0]) if error.args else type(error).__name__


def _overview() -> str:
    width = max(len(verb) for verb in COMMANDS)
    lines = [f"  {verb:<{width}}  {summary}" for verb, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: unbraid COMMAND ...",
            "",
            "Recognise people by disentangled features, and measure how well they are disentangled.",
            "",
            *lines,
            "",
            "`unbraid COMMAND --help` explains one. Start with `unbraid demo --out demo`.",
        ]
    )
