"""Texts that want to be more than text."""

from hypothesis import strategies as st

FRAGMENTS = [
    *("<!channel>", "<!here>", "<!everyone>", "<@U012AB3CD>", "<#C012AB3CD|general>", "<!subteam^S01|@sre>"),
    *(
        "<!date^1^{date}|now>",
        "<https://evil.example/x|click>",
        "<mailto:a@evil.example|mail>",
        "&lt;!channel&gt;",
        "&amp;lt;!here>",
    ),
    *(
        "https://evil.example/?token=1",
        "HTTP://EVIL.EXAMPLE",
        "slack://open?team=T1",
        "www.evil.com",
        "evil.com/path",
        "a@evil.com",
    ),
    *(
        "javascript:alert(1)",
        "//evil.com",
        "https:/evil.com",
        "ftp://x.evil.com:21/",
        "xn--e1a.com",
        "(https://evil.com)",
        "evil.com.",
    ),
    *("@channel", "@here", "@everyone", "#general", ":fire:", ":+1:", ":a:b:c:", "::tada::", ":100:"),
    *("*bold*", "_it_", "~no~", "`", "``", "```", "```\n", "\n```", "`<!channel>`", "```<!here>```", "> ", ">>> ", "\n> "),
    *(
        "[x](https://evil.example)",
        "![x](https://evil.example/p.png)",
        "<https://evil.example>",
        "[a]: https://evil.example",
        "[a]",
    ),
    *("# Approval required", "| a | b |\n|---|---|\n| <!channel> | https://evil.com |", "- ", "1. ", "    ", "---\n"),
    *(
        "\u202e",
        "\u2066",
        "\u200b",
        "\u2060",
        "\x1b[31m",
        "\x00",
        "\r",
        "\n",
        "\n\n\n\n\n",
        "\t",
        " ",
        "|",
        "^",
        "{when}",
        "{name}",
    ),
    *(
        "Approve",
        "payments",
        "OOMKilled",
        "内存",
        "メモリ",
        "👩\u200d🚀",
        "e\u0301",
        "\ud800",
        "10:30:22",
        "a_b_c",
        "&",
        "<",
        ">",
        "\\",
    ),
]

hostile = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=8)), max_size=12).map("".join)
"""Fragments of everything that Slack, Markdown and terminals know, put together, with any other text between."""
EVERYTHING = " ".join(FRAGMENTS)
EVERYTHING_GLUED = "".join(FRAGMENTS)
EACH = [*FRAGMENTS, *(f"x{one}y" for one in FRAGMENTS), EVERYTHING, EVERYTHING_GLUED]
