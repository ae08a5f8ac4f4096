"""REST and the event stream. `bot.api.app.build_app` makes the one ASGI application that serves API and web."""
