# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How the story looks: a live table on a terminal, plain lines everywhere else."""

import contextlib
import typing

import rich.console
import rich.live
import rich.table

from lab.demo import changes

#: Columns of a line that goes to a file or a pipe.
_PLAIN_WIDTH = 150

_COLOURS = {
    "SYNCED": "green",
    "SUCCESS": "green",
    "SUPERSEDED": "green",
    "PENDING": "yellow",
    "RETRYING": "yellow",
    "WAITING": "yellow",
    "RUNNING": "cyan",
    "READY": "cyan",
    "HELD": "yellow",
    "FAILED": "red",
    "ERROR": "red",
}


def _coloured(word: str) -> str:
    colour = _COLOURS.get(word.rsplit(" ", 1)[-1])
    return f"[{colour}]{word}[/]" if colour else word


class Screen:
    """Everything that is printed goes through here."""

    def __init__(self) -> None:
        self.console = rich.console.Console(highlight=False, soft_wrap=False)
        if not self.console.is_terminal:
            self.console = rich.console.Console(highlight=False, width=_PLAIN_WIDTH)

    @property
    def live(self) -> bool:
        """Return whether somebody watches a terminal."""
        return bool(self.console.is_terminal)

    def phase(self, number: int, title: str, why: str) -> None:
        """Open a phase: what it shows and why it matters."""
        self.console.print()
        self.console.rule(f"[bold]{number}. {title}[/]", align="left")
        self.console.print(f"[dim]{why}[/]")

    def say(self, text: str) -> None:
        """Print one line of the story."""
        self.console.print(text)

    def quote(self, request: str, answer: typing.Any) -> None:
        """Print a request to the API and what it answered."""
        self.console.print(f"  [bold]{request}[/]")
        for line in answer if isinstance(answer, list) else [answer]:
            self.console.print(f"    {line}", markup=False)

    def table(self, rows: "typing.Sequence[changes.Change]") -> rich.table.Table:
        """Return the changes as a table."""
        table = rich.table.Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("change", "API", "workflow", "state", "tasks", "sync_state"):
            table.add_column(title, justify="right" if title == "API" else "left", no_wrap=True)
        for row in rows:
            table.add_row(
                row.label,
                f"{row.api_ms:.0f} ms",
                row.workflow_id[:8],
                _coloured(row.workflow_state),
                ", ".join(_coloured(task) for task in row.tasks),
                _coloured(row.sync_state),
            )
        return table

    def beside(self, rows: typing.Iterable[tuple[str, float, str, float, str]]) -> None:
        """Print calls of both sides: label, ms and state of ours, ms and answer of stock."""
        table = rich.table.Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("change", "ours", "sync_state", "stock", "stock answered"):
            right = title in ("ours", "stock")
            table.add_column(title, justify="right" if right else "left", no_wrap=True)
        for label, ours_ms, state, stock_ms, said in rows:
            table.add_row(label, f"{ours_ms:.0f} ms", _coloured(state), f"{stock_ms:.0f} ms", said)
        self.console.print(table)

    @contextlib.contextmanager
    def watching(
        self, rows: "typing.Sequence[changes.Change]"
    ) -> typing.Iterator[typing.Callable[[], None]]:
        """Show ``rows`` while they change; the function that it yields draws them again."""
        if not self.live:
            yield lambda: None
            self.console.print(self.table(rows))
            return
        with rich.live.Live(self.table(rows), console=self.console, auto_refresh=False) as live:
            yield lambda: live.update(self.table(rows), refresh=True)
