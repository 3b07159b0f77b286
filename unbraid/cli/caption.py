"""Captions of tracklets: asked for, checked, summarised."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unbraid.cli.output import parse, show

if TYPE_CHECKING:
    from unbraid.text.captioner import Asked, Captioner
    from unbraid.text.captions import Coverage
    from unbraid.text.words import Violations

Aspect = Literal["biometric", "hair", "clothing", "pose", "interaction", "environment", "motion"]
Split = Literal["train", "query", "gallery"]
IMAGE: tuple[Aspect, ...] = ("biometric", "hair", "clothing", "pose", "interaction", "environment")


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def caption(
        root: tyro.conf.Positional[str],
        out: Path,
        aspects: tuple[Aspect, ...] = IMAGE,
        splits: tuple[Split, ...] = ("train",),
        model: str | None = None,
        endpoint: str | None = None,
        batch: int = 8,
        frames: int = 1,
        tokens: int = 80,
        timeout: float = 120.0,
        device: str | None = None,
        mixed: bool = False,
        json: bool = False,
    ) -> None:
        """Ask a model that sees pictures about the tracklets of a data set: one text per tracklet and aspect.

        Two more commands work on the file:
        `unbraid caption check captions.jsonl` finds words in the wrong aspect and what is missing;
        `unbraid caption summarise captions.jsonl` gives each person one text about the body.

        Run it again after any interruption: what the file has is not asked again. The texts are a model's guesses
        about people. Read docs/captions.md before you caption real ones.

        Args:
            root: Tracklet folder, NAME:FOLDER, or a built-in benchmark such as world:clothes/tiny/dev.
            out: File of JSON lines with key, aspect, text and source.
            aspects: What to ask about. 'motion' needs --frames 2 or more.
            splits: Splits to caption; text is used in training only.
            model: With --endpoint the name of the model there. Otherwise a folder with an image-text-to-text model of
                transformers, or a name, by default llava-hf/llava-1.5-7b-hf: then transformers DOWNLOADS the weights
                (14 GB for the default) unless they are in its cache or HF_HUB_OFFLINE=1 is set. Needs
                pip install 'unbraid[text]'.
            endpoint: Address of a server with the chat-completions protocol, such as http://localhost:8000/v1. The
                pictures are sent there. A key is read from the environment variable UNBRAID_API_KEY.
            batch: Questions asked together; a kill costs the answers of one batch at most.
            frames: Pictures shown per question; 1 is the middle frame.
            tokens: Longest answer, in tokens.
            timeout: Seconds that an endpoint may take for an answer.
            device: 'cpu', 'cuda', ...; a GPU when there is one. Not for endpoints.
            mixed: Go on in a file that another model, other frames or another wording has begun.
            json: Print the result as JSON.
        """
        from unbraid.cli.root import open_benchmark
        from unbraid.text.captioner import caption as verb
        from unbraid.text.captions import coverage, read_captions
        from unbraid.text.prompts import prompt
        from unbraid.text.words import violations

        for aspect in aspects:
            prompt(aspect, frames)
        benchmark = open_benchmark(root)
        tracklets = [one for split in splits for one in getattr(benchmark, split)]
        keys = [one.key for one in tracklets if one.modality == "rgb"]
        if not keys:
            raise ValueError(f"{root} has no RGB tracklets in {', '.join(splits)}; choose other --splits")
        ask = _captioner(model, endpoint, tokens, timeout, device)
        done = verb(tracklets, aspects, ask, out, frames=frames, batch=batch, mixed=mixed)
        rows = read_captions(out)
        _report(out, done, coverage(rows, keys, aspects), violations(rows), json)

    def check(
        captions: tyro.conf.Positional[Path],
        root: str | None = None,
        splits: tuple[Split, ...] = ("train",),
        drop_violations: Path | None = None,
        mask_violations: Path | None = None,
        json: bool = False,
    ) -> None:
        """Find words that stand in the wrong aspect, names and digits; with --root, what is missing.

        The file itself is never changed.

        Args:
            captions: File written by `unbraid caption` or `unbraid world render`.
            root: The data set, to count tracklets without a text.
            splits: Splits of it that need texts.
            drop_violations: Write the captions without findings to this file; the others are then missing.
            mask_violations: Write all captions to this file with the words found taken out.
            json: Print the result as JSON.
        """
        from unbraid.cli.root import open_benchmark
        from unbraid.text.captions import coverage, read_captions, write_captions
        from unbraid.text.words import masked, violations, without_violations

        for made in (drop_violations, mask_violations):
            if made is not None and made.resolve() == captions.resolve():
                raise ValueError(f"{made} is the file that is checked; write to another one, it is your only original")
        rows = read_captions(captions)
        if root is None:
            keys = [row.key for row in rows]
        else:
            benchmark = open_benchmark(root)
            keys = [t.key for split in splits for t in getattr(benchmark, split) if t.modality == "rgb"]
        written = {}
        if drop_violations is not None:
            written[drop_violations] = without_violations(rows)
        if mask_violations is not None:
            written[mask_violations] = [row for row in map(masked, rows) if row is not None]
        for path, kept in written.items():
            write_captions(path, kept)
        counts = {str(path): len(kept) for path, kept in written.items()}
        aspects = list(dict.fromkeys(row.aspect for row in rows)) or list(IMAGE)
        _report(captions, None, coverage(rows, keys, aspects), violations(rows), json, counts)

    def summarise(
        captions: tyro.conf.Positional[Path],
        root: str,
        out: Path,
        splits: tuple[Split, ...] = ("train",),
        model: str | None = None,
        endpoint: str | None = None,
        batch: int = 8,
        most: int = 15,
        tokens: int = 80,
        timeout: float = 120.0,
        device: str | None = None,
        mixed: bool = False,
        json: bool = False,
    ) -> None:
        """Give all tracklets of a person one text about the body, agreed from theirs by a language model.

        Optional: recipes can average a person's vectors instead (`text.averaged`). The other captions are copied.

        Args:
            captions: File written by `unbraid caption`.
            root: The data set, for who is who.
            out: File for all captions, the biometric ones replaced.
            splits: Splits of the people.
            model: As for `unbraid caption`; a name may be DOWNLOADED by transformers, a folder never is.
            endpoint: As for `unbraid caption`; only texts are sent.
            batch: Questions asked together.
            most: Texts of a person that are shown, evenly spaced.
            tokens: Longest answer, in tokens.
            timeout: Seconds that an endpoint may take for an answer.
            device: 'cpu', 'cuda', ...; a GPU when there is one. Not for endpoints.
            mixed: Go on in a file that another model or another wording has begun.
            json: Print the result as JSON.
        """
        from unbraid.cli.root import open_benchmark
        from unbraid.text.captions import coverage, read_captions
        from unbraid.text.summaries import summarise as verb
        from unbraid.text.words import violations

        if out.resolve() == captions.resolve():
            raise ValueError(f"{out} is the file that is summarised; write to another one, it is your only original")
        rows = read_captions(captions)
        benchmark = open_benchmark(root)
        people = {t.key: t.identity for split in splits for t in getattr(benchmark, split) if t.identity is not None}
        ask = _captioner(model, endpoint, tokens, timeout, device)
        done = verb(rows, people, ask, out, batch=batch, most=most, mixed=mixed)
        rows = [row for row in read_captions(out) if row.aspect == "biometric"]
        _report(out, done, coverage(rows, people, ["biometric"]), violations(rows), json)

    verb, rest = arguments[0] if arguments else "", list(arguments[1:])
    if verb == "check":
        parse(check, "caption check", rest)
    elif verb == "summarise":
        parse(summarise, "caption summarise", rest)
    else:
        parse(caption, "caption", arguments)


def _captioner(model: str | None, endpoint: str | None, tokens: int, timeout: float, device: str | None) -> "Captioner":
    if endpoint is not None:
        from unbraid.text.endpoint import Endpoint

        if model is None:
            raise ValueError(f"which model at {endpoint}? Name it with --model")
        return Endpoint(endpoint, model, most_tokens=tokens, timeout=timeout)
    from unbraid.progress import console
    from unbraid.text.local_model import DEFAULT, LocalModel, downloads

    name = DEFAULT if model is None else model
    if downloads(name):
        console.print(
            f"{name} is no folder here: transformers downloads it unless it is in its cache (Ctrl-C stops it)"
        )
    return LocalModel(name, device=device, most_tokens=tokens)


def _report(
    file: Path,
    done: "Asked | None",
    covered: "Mapping[str, Coverage]",
    found: "Mapping[str, Violations]",
    as_json: bool,
    written: Mapping[str, int] | None = None,
) -> None:
    facts: dict[str, Any] = {"captions": str(file)}
    lines = [f"Captions: {file}"]
    if done is not None:
        facts |= asdict(done)
        lines.append(f"{done.written} written, {done.kept} there before, {done.long} of the new over 30 words")
        if done.unanswered:
            lines.append(f"{done.unanswered} questions got an empty answer; the same command asks them again")
        if done.passed_over:
            lines.append(f"{done.passed_over} tracklets are no RGB pictures and were passed over")
    facts["coverage"] = {aspect: {**asdict(one), "share": one.share} for aspect, one in covered.items()}
    facts["violations"] = {aspect: asdict(one) for aspect, one in found.items()}
    lines += ["", f"{'aspect':<12} {'have':>7} {'of':>7} {'different':>10} {'commonest':>10} {'wrong words in':>15}"]
    for aspect, one in covered.items():
        wrong = f"{found[aspect].wrong}" if aspect in found else "-"
        lines.append(f"{aspect:<12} {one.present:>7} {one.wanted:>7} {one.texts:>10} {one.repeated:>10} {wrong:>15}")
    for aspect, one in covered.items():
        if one.missing:
            lines.append(f"{aspect}: missing for {', '.join(one.missing)}{', ...' * (one.wanted - one.present > 5)}")
    for aspect, told in found.items():
        if told.wrong:
            words = ", ".join(f"{word} ({category}) {count}x" for word, category, count in told.words[:8])
            lines += ["", f"{aspect} tells what it should not: {words}"]
            lines += [f"  {key}: [{word}] {text}" for key, word, text in told.examples[:3]]
    for path, count in (written or {}).items():
        lines.append(f"{count} captions written to {path}")
    facts["files"] = dict(written or {})
    show(facts, "\n".join(lines), as_json)
