"""What the runner should fetch before it diagnoses."""

from knowledge.diagnosis import needs
from protocol.commands import Diagnose
from tests.unit.knowledge.shop import checkout_config, crashing, shop


def test_needs_are_the_logs_of_pods_in_trouble_first_and_bounded() -> None:
    world = checkout_config()
    wanted = needs(world.view(), Diagnose(words=("web",)))
    assert {key.pod.split("-")[0] for key in wanted.logs} == {"search"}  # the others' logs are in the view already

    world.logs.clear()
    first = needs(world.view(), Diagnose(words=("checkout",)))
    assert [key.pod.split("-")[0] for key in first.logs][:2] == ["checkout", "checkout"]
    assert len(first.logs) <= 40
    assert any("container_memory_working_set_bytes" in query.expr for query in first.queries)

    many = shop()
    for n in range(200):
        pod = many.pod(many.get("Deployment", "web"), 0)
        pod["metadata"]["name"] = f"web-7d9f8b6c5d-{n:05x}"
        crashing(pod, 1)
    assert len(needs(many.view(), Diagnose(namespace="shop")).logs) == 40


def test_needs_of_an_unknown_name_are_nothing() -> None:
    wanted = needs(shop().view(), Diagnose(words=("zebra-crossing",)))
    assert wanted.logs == ()
    assert wanted.queries == ()
