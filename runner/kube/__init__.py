"""A thin client of the Kubernetes API: raw REST by aiohttp and orjson, with a time-out on every call."""
