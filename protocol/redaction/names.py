"""Which names of keys promise a secret, and which values show that there is none after all."""

import re
from enum import Enum
from functools import lru_cache


class Strength(Enum):
    NONE = 0
    WEAK = 1  # numbers and durations are no secret: `token: 3607`
    STRONG = 2  # any value is: `password: 12345`
    HEADER = 3  # a scheme and credentials, or the rest of the line
    DOCKER = 4  # base64 of user:password, as in config.json


_STRONG = frozenset(("password", "passwd", "passphrase", "passcode", "passwort", "kennwort", "requirepass", "masterauth"))
_WEAK = frozenset(("secret", "token", "apikey", "credential", "credentials", "bearer", "jwt", "pwd", "pass"))
# A key that ends in one of these, its words run together.
_ENDINGS_STRONG = ("password", "passwd", "passphrase", "requirepass")
_ENDINGS = (
    "secret", "token", "apikey", "accesskey", "privatekey", "secretkey", "signingkey", "encryptionkey", "masterkey",
    "clientkey", "authkey", "accountkey", "sharedkey", "sessionkey", "storagekey", "licensekey", "sshkey", "deploykey",
    "servicekey", "hmackey", "integrationkey", "rootkey", "appkey", "credential", "credentials", "connectionstring",
    "dockerconfigjson", "dockercfg", "clientkeydata", "tlskey", "idrsa", "ided25519", "idecdsa", "sessionid", "secretid",
    "amzsignature", "amzcredential", "sharedaccesssignature", "accesskeysecret", "storepass", "keypass", "becomepass",
)  # fmt: skip
_HEADERS = ("authorization", "cookie", "cookie2")
# The last word of a key that talks about a secret without holding one.
_ABOUT = frozenset(
    re.findall(
        r"\S+",
        """
        name names ref refs file filename path paths dir directory mount volume expiration expires expiry expired ttl
        type types kind count counts limit limits seconds minutes hours days review reviews policy url uri endpoint
        host port length min max size required enabled disabled provider audience audiences issuer version class
        namespace controller manager rotation mode authentication age timeout interval usage used store status reason
        message bucket rate cache fields field selector template format prefix suffix algorithm alg label labels
        header parameter param id ids source generator reader service cleaner creation created updated at error errors
        per exists encryption scheme regex pattern rules attempts reset changed lastset optional
        """,
    )
)
# With one of these words a "token" or a "secret" is a number, a reference or a property.
_BEFORE = frozenset(("max", "num", "total", "prompt", "completion", "existing", "pull", "automount", "has", "use", "no", "is"))

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_MAX_KEY = 200


@lru_cache(maxsize=8192)
def strength(key: str) -> Strength:
    """How surely a key of this name has a secret as its value."""
    words = [word.lower() for word in _WORDS.findall(key[-_MAX_KEY:])]
    if not words or (key == "PASS"):
        return Strength.NONE
    joined = "".join(words)
    if joined.endswith("secretid") and words[-1] == "id":
        return Strength.WEAK
    if words[-1] in _ABOUT and not joined.endswith(("sessionid",)):
        return Strength.NONE
    if joined.endswith(_HEADERS):
        return Strength.HEADER
    if words == ["auth"]:
        return Strength.DOCKER
    if joined.endswith(_ENDINGS_STRONG) or not _STRONG.isdisjoint(words):
        return Strength.STRONG
    if not _BEFORE.isdisjoint(words[:-1]):
        return Strength.NONE
    if joined.endswith(_ENDINGS) or not _WEAK.isdisjoint(words):
        return Strength.WEAK
    return Strength.NONE


_NOTHING = frozenset(
    (
        "",
        "null",
        "nil",
        "none",
        "~",
        "true",
        "false",
        "yes",
        "no",
        "undefined",
        "n/a",
        "-",
        "string",
        "str",
        "redacted",
        "hidden",
        # What a property says that only sounds like a secret: `authorization: disabled`, `credentials: same-origin`.
        "disabled",
        "enabled",
        "required",
        "off",
        "on",
        "omit",
        "same-origin",
        "include",
    )
)
_PLACEHOLDER = re.compile(
    r"\$\{|\$\(|\{\{|%\(|\$[A-Z_]+\Z|<(?:set\b|nil|none|unset|redacted|hidden|unknown|empty|masked|no value)|\[redacted\]",
    re.IGNORECASE,
)
_STRUCTURE = re.compile(r"[\[{]|[*&!][A-Za-z]|[|>][+-]?[0-9]?\Z")
_MASK = re.compile(r"[*xX•.…]+")
_PATH = re.compile(r"(?:file://)?/(?:run|var|etc|mnt|opt|tmp|vault|secrets?|home|root|usr|app|config|certs?)(?:/[\w.@+-]+)*/?")
_QUANTITY = re.compile(r"[+-]?[0-9]{1,10}(?:\.[0-9]{1,9})?%?|(?:[0-9]{1,6}(?:\.[0-9]{1,3})?(?:ms|s|m|h|d|[KMG]i?|[KMG]?B))+")
# Words that follow "token:" or "password:" in a sentence.
_PROSE = frozenset(
    re.findall(
        r"\S+",
        """
        a an access and any are as at authentication authorization bad be been but by can cannot cluster configmap
        could couldn't denied did didn't does doesn't empty eof error exceeded exist expected expired failed failure
        field file for forbidden found from has have illegal in incorrect invalid is it key length malformed mismatch
        missing must name namespace need needs new no not null object of on or parse permission pod provided rejected
        reference references refused required retry rotated secret secrets should signature string that the this timed
        timeout to token too try unable unauthorized unexpected unknown unsupported update updated user valid value
        verification volume was were when will with wrong you your
        """,
    )
)


def is_harmless(value: str, strong: Strength, *, quoted: bool) -> bool:
    """Does the value show that there is no secret: empty, a placeholder, a mask, a path, a number?"""
    value = value.strip()
    if value.lower() in _NOTHING or _PLACEHOLDER.match(value) or _MASK.fullmatch(value):
        return True
    if not quoted and _STRUCTURE.match(value):
        return True
    if _PATH.fullmatch(value):
        return True
    return strong is Strength.WEAK and _QUANTITY.fullmatch(value) is not None


def is_prose(word: str) -> bool:
    """Is this the next word of a sentence rather than a value?"""
    return word.strip(".,:;!?'\"").lower() in _PROSE
