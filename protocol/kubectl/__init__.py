"""The kubectl grammar: a line or an argv becomes one typed call, or is refused by a message that names the token.

There is no shell and no kubectl process. `parse` takes what people and models write, with or without the leading
`kubectl`; what the table of flags does not know is refused.
"""

from protocol.kubectl.calls import Call, GrammarError, ReadCall, WriteCall
from protocol.kubectl.grammar import parse
from protocol.kubectl.render import describe_remediation, render

__all__ = ["Call", "GrammarError", "ReadCall", "WriteCall", "describe_remediation", "parse", "render"]
