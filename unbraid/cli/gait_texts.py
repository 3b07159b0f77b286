"""The texts that gait methods retrieve from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.output import parse, show

if TYPE_CHECKING:
    from unbraid.text.dictionary import Dictionary


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""

    def texts(
        rounds: int = 8,
        out: Path = Path("gait-texts.json"),
        endpoint: str | None = None,
        model: str | None = None,
        batch: int = 4,
        tokens: int = 1000,
        timeout: float = 120.0,
        json: bool = False,
    ) -> None:
        """Write the dictionary of texts: how a walking person looks to a camera and to a LiDAR, from eight views.

        The library's own texts, to be read and edited. With --endpoint a language model writes them anew; no picture
        is sent, and no person is described. Next, encode them:
        `unbraid bank gait-texts.json --encoder open_clip:ViT-B-16/openai --out gait.safetensors`.

        Methods that retrieve from them take the bank in training only, with --bank, and keep it in their checkpoint.
        The encoder 'world-clip' needs neither file: its bank is made when training starts.

        Args:
            rounds: Texts per view and sensor; the method's config.rounds must be the same. The library has up to 16.
            out: The JSON file to write.
            endpoint: Address of a server with the chat-completions protocol, such as http://localhost:8000/v1. A key
                is read from the environment variable UNBRAID_API_KEY. After any interruption the same command goes on.
            model: The name of the model there.
            batch: Views asked about together.
            tokens: Longest answer, in tokens.
            timeout: Seconds that an endpoint may take for an answer.
            json: Print the result as JSON.
        """
        from unbraid.text.dictionary import gait_dictionary

        facts: dict[str, Any] = {}
        if endpoint is not None:
            from unbraid.text.endpoint import Endpoint
            from unbraid.text.rewriting import rewrite

            if model is None:
                raise ValueError(f"which model at {endpoint}? Name it with --model")
            asked = Endpoint(endpoint, model, most_tokens=tokens, timeout=timeout)
            done = rewrite(asked, out, rounds=rounds, batch=batch)
            made = done.dictionary
            facts = {"kept": done.kept, "written": done.written, "refused": done.refused}
        elif model is not None:
            raise ValueError(f"where is {model}? Name its server with --endpoint")
        else:
            made = gait_dictionary(rounds)
            made.save(out)
        facts = {"out": str(out), **_facts(made), **facts}
        show(facts, _table(facts, made), json)

    parse(texts, "gait texts", arguments)


def _facts(made: "Dictionary") -> dict[str, Any]:
    """What a dictionary holds as JSON values."""
    count = {m: sum(len(said) for said in views.values()) for m, views in made.texts.items()}
    return {"version": made.version, "sha256": made.sha256, "rounds": made.rounds, "texts": count}


def _table(facts: dict[str, Any], made: "Dictionary") -> str:
    counts = ", ".join(f"{number} {name}" for name, number in facts["texts"].items())
    lines = [
        f"Texts: {facts['out']}, {counts} (8 views, {made.rounds} of each)",
        f"Version {made.version}, sha256 {made.sha256}",
    ]
    if "written" in facts:
        lines.append(
            f"{facts['written']} views written, {facts['kept']} there before, {facts['refused']} texts refused"
        )
    lines += ["", *(f"{name:<11} {made.texts[name]['front-left'][0]}" for name in made.modalities), ""]
    lines.append(f"Encode them: unbraid bank {facts['out']} --encoder ENCODER --out gait.safetensors")
    return "\n".join(lines)
