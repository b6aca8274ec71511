"""``durazzo completion``: what a shell runs to complete durazzo's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ops.cli import terminal
from ops.cli.commands import Command

#: As ``ops.cli.main`` calls itself, and as click then looks for the shell's question.
_NAME = "durazzo"
_ASKS = "_DURAZZO_COMPLETE"


@click.command(cls=Command, example="durazzo completion bash")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete durazzo's words.

    For now, in bash: source <(durazzo completion bash). For every new shell:

    \b
    bash  durazzo completion bash > ~/.local/share/bash-completion/completions/durazzo
    zsh   durazzo completion zsh > "${fpath[1]}/_durazzo"
    fish  durazzo completion fish > ~/.config/fish/completions/durazzo.fish

    The file for bash needs the package bash-completion, the one for zsh `compinit`.
    """  # noqa: D301  the \\b is click's: what follows is not wrapped
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  click has these three
    terminal.out(kind(ctx.find_root().command, {}, _NAME, _ASKS).source())
