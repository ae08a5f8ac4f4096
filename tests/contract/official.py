"""The official Python client, whose models have no types: fenced here, `Any` beyond."""

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Official:
    """The client's APIs on one kubeconfig."""

    core: Any
    apps: Any
    version: Any
    authorization: Any
    custom: Any
    watch: Any
    error: type[Exception]
    raw: Any


def official(kubeconfig: str) -> Official:
    client: Any = importlib.import_module("kubernetes.client")
    config: Any = importlib.import_module("kubernetes.config")
    watch: Any = importlib.import_module("kubernetes.watch")
    api: Any = config.new_client_from_config(kubeconfig)
    return Official(
        core=client.CoreV1Api(api),
        apps=client.AppsV1Api(api),
        version=client.VersionApi(api),
        authorization=client.AuthorizationV1Api(api),
        custom=client.CustomObjectsApi(api),
        watch=watch,
        error=client.exceptions.ApiException,
        raw=api,
    )
