"""Kubeconfig files, one an identity."""

import base64
from pathlib import Path

import orjson

from sandbox.objects import Obj


def write_kubeconfigs(directory: Path, url: str, authority: str, tokens: dict[str, str]) -> dict[str, str]:
    """Write <identity>.kubeconfig for each token; only the owner may read them. Gives their paths."""
    paths: dict[str, str] = {}
    for name, token in tokens.items():
        path = directory / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_bytes(orjson.dumps(_config(name, url, authority, token), option=orjson.OPT_INDENT_2))
        paths[name] = str(path)
    return paths


def _config(name: str, url: str, authority: str, token: str) -> Obj:
    trusted = base64.b64encode(authority.encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "practice",
        "clusters": [{"name": "practice", "cluster": {"server": url, "certificate-authority-data": trusted}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": "practice", "context": {"cluster": "practice", "user": name, "namespace": "shop"}}],
    }
