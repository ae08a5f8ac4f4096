"""`python -m bot.cli`: the same as `opsthread`."""

from bot.cli.main import main

raise SystemExit(main())
