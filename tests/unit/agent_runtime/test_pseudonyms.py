"""Pseudonyms: nothing of a cluster's names goes out, everything comes back, whatever the chunks."""

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.pseudonyms import PLAIN, Pseudonyms, conversation_key, known_names

LISTED = (
    "namespace/shop",
    "namespace/kube-system",
    "node/worker-1",
    "node/ip-10-0-3-7.eu-central-1.compute.internal",
    "deployment.apps/payments",
    "deployment.apps/payments-db",
    "statefulset.apps/pg",
    "service/payments",
    "pod/payments-7c9d8f-x2k4p",
    "pod/payments-db-0",
    "pod/lonely",
    "configmap/api",
)
NAMES = known_names(LISTED, ("shop", "default"), ("Practice",))
KEY = conversation_key(b"secret", "conversation1")


def pseudonyms() -> Pseudonyms:
    return Pseudonyms(KEY, NAMES)


TEXTS = (
    "why does payments keep restarting in shop?",
    "NAMESPACE NAME READY STATUS RESTARTS AGE IP NODE\nshop payments-7c9d8f-x2k4p 0/1 Error 9 3d 10.0.3.7 worker-1",
    "Deployment/shop/payments-db: memory-limit-too-low at Pod/shop/payments-db-0",
    'configmap "payments-settings" not found; Secret/shop/pg-password',
    "GET http://payments.shop.svc.cluster.local:8080/pay from 10.0.3.7:51234 and [fd00::1234]:80 failed",
    "image registry.acme-corp.com/shop/payments:1.2.3 on ip-10-0-3-7.eu-central-1.compute.internal",
    "PAYMENTS_URL=x Payments payments_total{namespace=\"shop\"} paymentsService mypayments",
    "pg-0 is ready, pgbouncer is not pg",
    "-n staging -l app=lonely",
)  # fmt: skip
SECRET = (
    "payments", "worker-1", "10.0.3.7", "fd00::1234", "acme-corp", "lonely", "pg-password", "compute.internal", "staging",
    "practice",
)  # fmt: skip


def test_no_name_is_left_and_every_one_comes_back() -> None:
    names = pseudonyms()
    for text in TEXTS:
        hidden = names.hide(text)
        assert names.reveal(hidden) == text
        assert not [name for name in SECRET if name in hidden.lower()], hidden
        assert "shop" not in hidden.replace("workshop", ""), hidden


def test_kubernetes_words_codes_and_system_namespaces_stay() -> None:
    text = (
        "kubectl get pods -n kube-system api-resources memory-limit-too-low app.kubernetes.io/name registry.k8s.io/pause:3.9 "
        "docker.io/library/nginx 127.0.0.1 12:30:45 status.lastState.terminated.reason java.net.SocketException v1.31.2 default"
    )
    assert pseudonyms().hide(text) == text


def test_a_pod_keeps_what_its_owner_made_up() -> None:
    names = pseudonyms()
    assert names.hide("payments-7c9d8f-x2k4p") == f"{names.hide('payments')}-7c9d8f-x2k4p"
    assert names.hide("payments-db-0") == f"{names.hide('payments-db')}-0"
    assert names.hide("pgbouncer") == "pgbouncer", "a short name is hidden as a word of its own only"


def test_the_same_conversation_gives_the_same_pseudonyms_on_every_replica_and_another_one_others() -> None:
    here, there = pseudonyms(), pseudonyms()
    other = Pseudonyms(conversation_key(b"secret", "conversation2"), NAMES)
    assert here.hide("payments") == there.hide("payments") != other.hide("payments")
    assert there.reveal(here.hide("payments")) == "payments"


def test_a_name_that_a_later_text_tells_of_is_hidden_in_the_earlier_ones_too() -> None:
    names, texts = pseudonyms(), ("the ledger is slow", "Deployment/shop/ledger has 0 of 2 pods; secretName: vault-token")
    for text in texts:
        names.learn(text)
    assert not [word for word in ("ledger", "vault-token") for text in texts if word in names.hide(text)]


def test_hosts_in_addresses_of_people_and_urls_are_hidden_and_services_by_their_names() -> None:
    names = pseudonyms()
    hidden = names.hide(
        "by ann@acme-corp.com, http://vault.prod.acme:8200/x, http://payments.shop:80, http://localhost:1, https://ghcr.io/x"
    )
    assert not [word for word in ("acme", "vault", "payments", "shop") if word in hidden]
    assert "http://localhost:1, https://ghcr.io/x" in hidden
    assert re.search(r"http://app-\w{7}\.ns-\w{7}:80", hidden)


def test_what_was_never_given_out_is_not_turned_back() -> None:
    names = pseudonyms()
    assert names.reveal("app-aaaaaaa and node-bbbbbbb") == "app-aaaaaaa and node-bbbbbbb"


def test_a_model_may_write_a_pseudonym_in_capitals_or_go_on_behind_it() -> None:
    names = pseudonyms()
    alias = names.hide("payments")
    assert (
        names.reveal(f"{alias.capitalize()}-7c9d8f and `{alias}`s {alias}abc") == "payments-7c9d8f and `payments`s paymentsabc"
    )


@given(st.lists(st.sampled_from([*TEXTS, "payments", "-", " ", "app-", "ns", "host-a"]), max_size=6), st.randoms())
def test_a_stream_is_the_same_text_however_it_is_cut(texts: list[str], chance: random.Random) -> None:
    names, shown = pseudonyms(), list[str]()
    hidden = names.hide(" ".join(texts))
    stream = names.stream(shown.append)
    while hidden:
        size = chance.randint(1, 9)
        stream.feed(hidden[:size])
        hidden = hidden[size:]
    stream.end()
    assert "".join(shown) == names.reveal(names.hide(" ".join(texts)))


@given(st.text(alphabet="payments shop-db0.\n\"'/:_10", max_size=80))
def test_hiding_is_undone_by_revealing(text: str) -> None:
    names = pseudonyms()
    hidden = names.hide(text)
    assert names.reveal(hidden) == text
    assert "payments" not in hidden


def test_many_names_are_hidden_in_time() -> None:
    names = Pseudonyms(KEY, {f"service-{n}-x": "app" for n in range(5000)})
    text = "\n".join(f"service-{n}-x-7c9d8f-x2k4p Running" for n in range(300))
    assert "service-1-x" not in names.hide(text)


def test_names_as_they_are() -> None:
    assert PLAIN.reveal(PLAIN.hide("payments")) == "payments"


def test_what_no_list_told_of_is_hidden_too() -> None:
    """A Service of another namespace, the company behind a known name, names as variables of the environment write them."""
    for text, secrets in (
        ("lookup ledger.billing.svc.cluster.local: no such host", ("ledger", "billing")),
        ("dial pg-0.ledger-headless.billing.svc on port 5432", ("ledger", "billing")),
        ("lookup payments.acme-corp.com: no such host", ("acme", "payments")),
        ("ldap.bigbank.local and db.bigbank.co refused", ("bigbank",)),
        ("PAYMENTS_DB_HOST=10.1.1.1 payments_db_up 0", ("payments_db",)),
        ("LOOKUP LEDGER.BILLING.SVC", ("ledger", "billing")),
    ):
        names = pseudonyms()
        hidden = names.hide(text)
        assert not [secret for secret in secrets if secret in hidden.lower()], hidden
        assert names.reveal(hidden) == text
