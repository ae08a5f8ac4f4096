"""Bot tokens at rest: encrypted with a key that every replica derives from the grant key, and nothing else can.

Each workspace has a key of its own, so that a token moved to another workspace's row does not open. Whoever replaces the grant
key file makes the stored tokens unreadable: each workspace is then installed once more ("Add to Slack"), which stores its token
under the new key. Nothing else is lost. A copy of the database alone, or a backup of it, tells no token.
"""

import binascii

from nacl.encoding import RawEncoder, URLSafeBase64Encoder
from nacl.exceptions import CryptoError
from nacl.hash import blake2b
from nacl.secret import SecretBox
from nacl.signing import SigningKey

from control_plane.errors import Conflict

_LABEL = b"opsthread slack bot token"
_FORM = "v1:"


class TokenBox:
    def __init__(self, grant_key: SigningKey) -> None:
        self._grant_key = grant_key

    def __repr__(self) -> str:
        return "TokenBox()"

    def closed(self, team: str, token: str) -> str:
        """As it is stored. "" stays "": the configuration has the token."""
        if not token:
            return ""
        return _FORM + self._box(team).encrypt(token.encode(), encoder=URLSafeBase64Encoder).decode()

    def opened(self, team: str, stored: str) -> str:
        """Raises Conflict when it was encrypted with another grant key."""
        if not stored:
            return ""
        try:
            if not stored.startswith(_FORM):
                raise ValueError("not ours")
            return self._box(team).decrypt(stored.removeprefix(_FORM).encode(), encoder=URLSafeBase64Encoder).decode()
        except (CryptoError, ValueError, binascii.Error):
            # The cause is not shown: nothing of the token may travel in an error.
            raise Conflict(
                f"the token of Slack workspace {team} can't be read: it was stored under another grant key; "
                "install the app in that workspace once more, or give this replica the same OPSTHREAD_GRANT_KEY_FILE"
            ) from None

    def _box(self, team: str) -> SecretBox:
        return SecretBox(blake2b(_LABEL + b"\0" + team.encode(), key=self._grant_key.encode(), encoder=RawEncoder))
