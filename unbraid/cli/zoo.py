"""The checkpoints that come with the library."""

from collections.abc import Sequence

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def zoo(name: tyro.conf.Positional[str] = "", json: bool = False) -> None:
        """List the checkpoints that come with the library, or show the model card of one.

        Their names stand wherever a command asks for a run, such as `unbraid extract dsanet/world --root tracks --out
        found`. In Python, `unbraid.load("dsanet/world")`. Those called world have seen synthetic people only.

        Args:
            name: Of one of them, such as dsanet/world.
            json: Print names, sizes, hashes and measured numbers as JSON.
        """
        from unbraid.zoo import entries

        found = [entry for entry in entries() if name in ("", entry.name)]
        if not found:
            raise KeyError(f"no checkpoint {name!r}; there are {', '.join(entry.name for entry in entries())}")
        told = [
            {"name": e.name, "folder": str(e.folder), "bytes": e.bytes, "sha256": e.sha256, "numbers": e.numbers}
            for e in found
        ]
        lines = [f"{e.name:<20}{e.bytes / 1e6:5.1f} MB  {e.numbers['title']}" for e in found]
        show(told, found[0].card if name else "\n".join(lines), json)

    parse(zoo, "zoo", arguments)
