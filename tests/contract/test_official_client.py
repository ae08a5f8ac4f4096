"""The official Python client on the cluster: typed reads and writes, watches, refusals."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from tests.contract.cluster import Cluster, Namespace, config_map, deployment, until
from tests.contract.official import Official, official

pytestmark = pytest.mark.contract

WAIT = 30


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Generator[Official]:
    made = official(cluster.kubeconfig)
    yield made
    made.raw.close()


def _refusal(error: BaseException) -> Any:
    return json.loads(vars(error)["body"])


def test_version_with_a_slash_at_the_end(client: Official) -> None:
    assert client.version.get_code().git_version.startswith("v1.")


def test_typed_objects(client: Official, namespace: Namespace) -> None:
    client.apps.create_namespaced_deployment(namespace.name, deployment("typed", replicas=2))
    namespace.rolled_out("deployment/typed")
    found = client.apps.read_namespaced_deployment("typed", namespace.name)
    assert (found.spec.replicas, found.status.ready_replicas) == (2, 2)
    assert found.metadata.uid
    assert found.metadata.generation >= 1
    pods = client.core.list_namespaced_pod(namespace.name, label_selector="app=typed").items
    assert {pod.status.phase for pod in pods} == {"Running"}
    page = client.core.list_namespaced_pod(namespace.name, limit=1)
    rest = client.core.list_namespaced_pod(namespace.name, limit=10, _continue=page.metadata._continue)
    assert len(page.items) + len(rest.items) == len(client.core.list_namespaced_pod(namespace.name).items)
    until(
        lambda: client.core.read_namespaced_pod_log(pods[0].metadata.name, namespace.name, tail_lines=1),
        "the pod has written its first line",
    )
    scale = client.apps.patch_namespaced_deployment_scale("typed", namespace.name, {"spec": {"replicas": 1}})
    assert scale.spec.replicas == 1
    events = client.core.list_namespaced_event(namespace.name).items
    assert any(event.reason == "ScalingReplicaSet" for event in events)


def test_writes_and_conflicts(client: Official, namespace: Namespace) -> None:
    made = client.core.create_namespaced_config_map(namespace.name, config_map("made", a="1"))
    made.data["a"] = "2"
    newer = client.core.replace_namespaced_config_map("made", namespace.name, made)
    assert newer.metadata.resource_version != made.metadata.resource_version
    with pytest.raises(client.error) as stale:
        client.core.replace_namespaced_config_map("made", namespace.name, made)
    assert _refusal(stale.value)["reason"] == "Conflict"
    client.core.patch_namespaced_config_map("made", namespace.name, {"data": {"b": "3"}}, dry_run="All")
    assert client.core.read_namespaced_config_map("made", namespace.name).data == {"a": "2"}
    client.core.delete_collection_namespaced_config_map(namespace.name, label_selector="set=made")
    with pytest.raises(client.error) as gone:
        client.core.read_namespaced_config_map("made", namespace.name)
    body = _refusal(gone.value)
    assert (body["code"], body["reason"], body["details"]["name"]) == (404, "NotFound", "made")
    assert body["kind"] == "Status"


def test_a_delete_with_another_uid_is_refused(client: Official, namespace: Namespace) -> None:
    client.core.create_namespaced_config_map(namespace.name, config_map("kept"))
    options = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    with pytest.raises(client.error) as refused:
        client.core.delete_namespaced_config_map("kept", namespace.name, body=options)
    assert _refusal(refused.value)["code"] == 409
    assert client.core.read_namespaced_config_map("kept", namespace.name)


def test_a_watch_tells_what_happens_after_a_version(client: Official, namespace: Namespace) -> None:
    start = client.core.list_namespaced_config_map(namespace.name).metadata.resource_version
    client.core.create_namespaced_config_map(namespace.name, config_map("seen", a="1"))
    client.core.patch_namespaced_config_map("seen", namespace.name, {"data": {"a": "2"}})
    client.core.delete_namespaced_config_map("seen", namespace.name)
    watch = client.watch.Watch()
    told: list[tuple[str, str]] = []
    stream = watch.stream(
        client.core.list_namespaced_config_map,
        namespace.name,
        resource_version=start,
        label_selector="set=seen",
        timeout_seconds=WAIT,
    )
    for event in stream:
        told.append((event["type"], event["object"].data["a"]))
        if event["type"] == "DELETED":
            watch.stop()
    assert told == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


def test_an_object_that_leaves_the_selector_is_deleted_for_the_watch(client: Official, namespace: Namespace) -> None:
    client.core.create_namespaced_config_map(namespace.name, config_map("leaver"))
    start = client.core.list_namespaced_config_map(namespace.name).metadata.resource_version
    client.core.patch_namespaced_config_map("leaver", namespace.name, {"metadata": {"labels": {"set": "elsewhere"}}})
    watch = client.watch.Watch()
    stream = watch.stream(
        client.core.list_namespaced_config_map,
        namespace.name,
        resource_version=start,
        label_selector="set=leaver",
        timeout_seconds=WAIT,
    )
    first = next(iter(stream))
    watch.stop()
    assert first["type"] == "DELETED"


def _watch_lines(client: Official, path: str, **query: str) -> list[Any]:
    """All events of a raw watch, until the server ends it."""
    answer = client.raw.call_api(
        *client.raw.param_serialize(
            "GET", path, query_params=list({"watch": "1", **query}.items()), auth_settings=["BearerToken"]
        )
    )
    return [json.loads(line) for line in answer.read().splitlines()]


def test_a_watch_begins_with_what_is_there_and_ends_with_a_bookmark(client: Official, namespace: Namespace) -> None:
    client.core.create_namespaced_config_map(namespace.name, config_map("present"))
    path = f"/api/v1/namespaces/{namespace.name}/configmaps"
    lines = _watch_lines(client, path, timeoutSeconds="2", allowWatchBookmarks="true", labelSelector="set=present")
    assert lines[0]["type"] == "ADDED"
    assert lines[0]["object"]["metadata"]["name"] == "present"
    bookmarks = [line for line in lines if line["type"] == "BOOKMARK"]
    assert all(line["object"]["kind"] == "ConfigMap" and line["object"]["metadata"]["resourceVersion"] for line in bookmarks)


def test_may_i(client: Official) -> None:
    attributes = {"verb": "delete", "resource": "pods", "namespace": "default"}
    answer = client.authorization.create_self_subject_access_review({"spec": {"resourceAttributes": attributes}})
    assert answer.status.allowed is True


def test_metrics(client: Official) -> None:
    nodes = client.custom.list_cluster_custom_object("metrics.k8s.io", "v1beta1", "nodes")["items"]
    assert nodes
    assert nodes[0]["usage"]["cpu"].endswith("n")


def test_no_token_no_answer(cluster: Cluster) -> None:
    if not cluster.sandbox:
        # how strangers are greeted is configuration of the named cluster
        return
    stranger = official(cluster.kubeconfig)
    stranger.raw.configuration.api_key = {}
    stranger.raw.configuration.refresh_api_key_hook = None
    with pytest.raises(stranger.error) as refused:
        stranger.core.list_namespace()
    assert (_refusal(refused.value)["code"], _refusal(refused.value)["reason"]) == (401, "Unauthorized")
    stranger.raw.close()
