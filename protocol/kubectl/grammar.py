"""From a line to one typed call."""

from collections.abc import Sequence

from pydantic import ValidationError

from protocol.kubectl import arguments, tokens
from protocol.kubectl.calls import Call, GrammarError, WriteCall
from protocol.kubectl.reads import READS
from protocol.kubectl.render import render_argv
from protocol.kubectl.writes import WRITES


def parse(line: str | Sequence[str]) -> Call:
    """The typed call that a line or an argv means, with or without the leading `kubectl`.

    Raises GrammarError, whose message names the token and says what is allowed. Nothing is run, looked up or expanded.
    """
    given = arguments.read(tokens.words(line))
    try:
        if given.verb in READS:
            return READS[given.verb](given)
        action = WRITES[given.verb](given)
        return WriteCall(
            line=line if isinstance(line, str) else render_argv(line),
            remediation=action,
            namespace_given=given.namespace is not None or not action.target.namespace,
            dry_run=given.text("dry-run") in ("client", "server"),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise GrammarError(str(first.get("input", "")), f"{given.verb}: {first['msg']}") from None
