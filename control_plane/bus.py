"""The bus: the embedded nats-server child or an external NATS, our client, auth callout, live text."""


class Bus:
    @property
    def url(self) -> str:
        """What runners connect to."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...
