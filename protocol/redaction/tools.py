"""Passwords on the command lines and in the files of well-known tools. One row a tool or a file."""

import re

from protocol.redaction.shapes import shape

_VALUE = r"[\"']?(?P<s>[^\s\"'|;&]{1,200}+)"


def _flag(tools: str, flag: str, *, command: str = "") -> tuple[str, str, str]:
    """A short flag that carries a password, after one of these tools (and `command` of it) on the same line."""
    names = "|".join(re.escape(tool) + command for tool in tools.split())
    # The tool's other words, none of which may begin a new command. Bounded, so that the scan stays linear.
    return f"password of {flag}", tools, rf"\b(?:{names})\b(?:[ \t]++(?!{flag})[^\s|;&]{{1,120}}+){{0,24}}[ \t]++{flag}{_VALUE}"


TOOLS = (
    shape(*_flag("mysql mysqldump mysqladmin mariadb", "-p")),
    shape(*_flag("redis-cli", r"-a[ \t]++")),
    shape(*_flag("sqlcmd bcp", r"-P[ \t]++")),
    shape(*_flag("cqlsh mongo mongosh mongodump mongorestore sshpass", r"-p[ \t]++")),
    shape(*_flag("docker podman nerdctl helm", r"-p[ \t]++", command=r"(?:[ \t]registry)?[ \t]login")),
    shape(*_flag("ldapsearch ldapadd ldapmodify ldapwhoami ldappasswd", r"-w[ \t]++")),
    shape("sqlplus", "sqlplus expdp impdp", r"\b(?:sqlplus|expdp|impdp)[ \t]++[\w.-]{1,64}+/(?P<s>[^\s@\"']{1,200}+)@"),
    shape("oracle's thin driver", "oracle:thin:", r"oracle:thin:[\w.$-]{1,64}+/(?P<s>[^@\s\"']{1,200}+)@"),
    shape("curl -u user:password", "-u --user", r"(?:\s-u|\s--user)[ \t=]{1,3}[\"']?[\w.@-]{1,64}+:(?P<s>[^\s\"']{1,200}+)"),
    shape("netrc", "login", r"\blogin\s{1,8}\S{1,100}+\s{1,8}password\s{1,8}(?P<s>\S{1,200}+)"),
    shape(
        "a directive of a configuration",
        "requirepass masterauth insecure-password auth-pass",
        rf"\b(?:requirepass|masterauth|insecure-password|sentinel auth-pass \S{{1,60}})[ \t]{{1,8}}{_VALUE}",
    ),
    shape("redis AUTH in a monitor", '"AUTH" "auth"', r'"(?i:auth)"(?: "[^"\n]{1,100}+"(?= "))? "(?P<s>[^"\n]{1,200}+)"'),
    shape("SQL password", "IDENTIFIED identified", r"(?i:\bidentified by)\s{1,8}'(?P<s>[^'\n]{1,200}+)"),
    shape(
        "postgresql passfile",
        ":",
        r"(?m)^[\w.*-]{1,200}+:(?:543[0-9]|6432|26257):[\w*-]{1,63}+:[\w*-]{1,63}+:(?P<s>[^\s:]{1,200}+)$",
    ),
    shape("neo4j's variable", "NEO4J_AUTH", r"NEO4J_AUTH[\"']?[=:][ \t]?[\"']?neo4j/(?P<s>[^\s\"',]{1,200}+)"),
    shape("openssl", "pass:", r"-pass(?:in|out)?[ \t=]pass:(?P<s>[^\s\"']{1,200}+)"),
    shape("vault's unseal keys", "Unseal Recovery", r"\b(?:Unseal|Recovery) Key [0-9]{1,2}: (?P<s>\S{16,200}+)"),
    shape(
        "PuTTY key",
        "Private-Lines:",
        r"Private-Lines: [0-9]{1,4}\r?\n(?P<s>[A-Za-z0-9+/=]{1,80}+(?:\r?\n[A-Za-z0-9+/=]{1,80}+(?=\r?\n|\Z)){0,200}+)",
    ),
    shape(
        "form field",
        'name="',
        r'name="[^"\n]{0,60}?(?i:passw|secret|token|api_?key)[^"\n]{0,30}+"\r?\n(?:Content-[^\n]{0,200}+\n)?\r?\n(?P<s>[^\r\n]{1,2000}+)',
    ),
    shape(
        "password in an address that was cut",
        "://",
        r"\b(?:postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqp|amqps|nats)(?:\+[a-z]{1,12})?://"
        r"[^\s/@:\"'<>]{1,200}+:(?!\$|[0-9]{1,5}\b)(?P<s>[^\s@\"'<>/?]{4,500}+)(?=\s*+\Z|\n|…)",
    ),
)
