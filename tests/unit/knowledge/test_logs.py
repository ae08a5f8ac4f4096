"""Log signatures and the addresses in them; linear whatever the log holds."""

import time

import pytest

from knowledge.diagnosis.addresses import addresses_in_text, addresses_in_value, near_service, service_of
from knowledge.diagnosis.logs import SIGNATURES, line_time, scan
from knowledge.diagnosis.view import Key
from tests.unit.knowledge.shop import shop

LINES = [
    ("Environment variable DEPLOY_ENV is undefined", "env-variable-missing", "DEPLOY_ENV"),
    ("fatal: required environment variable DEPLOY_ENV is not set (expected one of: a)", "env-variable-missing", "DEPLOY_ENV"),
    ("Error: missing required environment variable: DATABASE_URL", "env-variable-missing", "DATABASE_URL"),
    ("KeyError: 'API_TOKEN'", "env-variable-missing", "API_TOKEN"),
    ("/entrypoint.sh: line 3: DB_HOST: unbound variable", "env-variable-missing", "DB_HOST"),
    ("panic: STRIPE_KEY must be set", "env-variable-missing", "STRIPE_KEY"),
    ("dial tcp 10.96.0.12:5432: connect: connection refused", "dependency-unreachable", ""),
    ("Error: connect ECONNREFUSED 10.0.0.1:6379", "dependency-unreachable", ""),
    ("lookup db.shop.svc.cluster.local on 10.96.0.10:53: no such host", "dependency-unreachable", ""),
    ("getaddrinfo ENOTFOUND redis", "dependency-unreachable", ""),
    ("java.net.UnknownHostException: orders", "dependency-unreachable", ""),
    ("psycopg2.OperationalError: could not translate host name: Name or service not known", "dependency-unreachable", ""),
    ("read tcp 10.0.0.1:4000->10.0.0.2:80: i/o timeout", "dependency-unreachable", ""),
    ('10.0.0.1 - - "POST /checkout HTTP/1.1" 502 157', "upstream-errors", "502"),
    ("upstream prematurely closed connection", "upstream-errors", ""),
    ("rpc error: code = Unavailable desc = no connection", "upstream-errors", ""),
    ('FATAL: password authentication failed for user "app"', "authentication-failed", ""),
    ("open /data/lock: permission denied", "permission-denied", ""),
    (
        'pods is forbidden: User "system:serviceaccount:shop:web" cannot list',
        "permission-denied",
        "system:serviceaccount:shop:web",
    ),
    ("x509: certificate signed by unknown authority", "certificate-invalid", ""),
    ("write /var/lib/x: no space left on device", "disk-full", ""),
    ("listen tcp :8080: bind: address already in use", "port-in-use", "8080"),
    ("java.lang.OutOfMemoryError: Java heap space", "memory-limit-too-low", "Java heap space"),
    ("standard_init_linux.go: exec user process caused: exec format error", "image-architecture-mismatch", ""),
    ("Traceback (most recent call last):", "crash-on-start", ""),
    ("panic: runtime error: index out of range", "crash-on-start", ""),
    ("Error: Cannot find module 'express'", "crash-on-start", ""),
]


@pytest.mark.parametrize(("line", "code", "subject"), LINES, ids=[row[0][:40] for row in LINES])
def test_lines_are_recognised(line: str, code: str, subject: str) -> None:
    found = {match.signature.code: match for match in scan(f"starting\n{line}\n")}
    assert code in found
    assert found[code].line == line
    if subject:
        assert subject in {match.subject for match in scan(line) if match.signature.code == code}


@pytest.mark.parametrize(
    "line",
    [
        "GET /healthz 200 1ms",
        "retrying request attempt=1 (succeeded)",
        "cache refreshed entries=502",
        "took 502 ms",
        "Background saving terminated with success",
        "connection pool stats active=3 idle=8",
        "loaded 503 products",
        "upstream configured: checkout",
    ],
)
def test_ordinary_lines_are_not(line: str) -> None:
    assert [match.signature.name for match in scan(f"{line}\n" * 5)] == []


def test_there_are_enough_signatures_and_their_names_are_unique() -> None:
    assert len(SIGNATURES) >= 40
    assert len({row.name for row in SIGNATURES}) == len(SIGNATURES)


def test_counts_and_the_newest_line_are_kept() -> None:
    log = "".join(f"2026-03-05T11:0{n}:00Z connection refused db:{5430 + n}\n" for n in range(5)) + "all well\n"
    match = next(one for one in scan(log) if one.signature.name == "connection-refused")
    assert match.count == 5
    assert match.line.endswith("db:5434")
    assert match.last_index == 1
    assert match.at == line_time("2026-03-05T11:04:00Z")


@pytest.mark.parametrize("junk", ["a", "(", "[" * 3, "x=1 ", "http://", "a.b-", "'\"", "50", "env variable ", "Aa_0 not set"])
def test_time_is_linear_in_the_log(junk: str) -> None:
    log = "connection refused environment variable not set missing upstream 50 status=" + junk * (400_000 // len(junk))
    start = time.process_time()
    scan(log)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    ("name", "value", "hosts"),
    [
        ("PAYMENTS_URL", "http://payments:8080/charge", ["payments"]),
        ("DSN", "postgres://app:pw@db.data.svc.cluster.local:5432/x?sslmode=off", ["db.data.svc.cluster.local"]),
        ("BROKERS", "kafka-0.kafka:9092,kafka-1.kafka:9092", ["kafka-0.kafka", "kafka-1.kafka"]),
        ("REDIS_HOST", "redis", ["redis"]),
        ("LOG_LEVEL", "debug", []),
        ("MODE", "fast", []),
        ("START", "12:30", []),
        ("IMAGE", "registry.example/app:1.2", []),
        ("NOTE", "see http://", []),
    ],
)
def test_addresses_of_settings(name: str, value: str, hosts: list[str]) -> None:
    assert [address.host for address in addresses_in_value(name, value)] == hosts


def test_an_address_in_a_log_line_has_its_port() -> None:
    found = list(addresses_in_text('upstream: "http://checkout:8080/checkout", client: 10.1.2.3'))
    assert [(address.host, address.port) for address in found] == [("checkout", 8080)]


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("payments", "Service/shop/payments"),
        ("payments.shop", "Service/shop/payments"),
        ("payments.shop.svc", "Service/shop/payments"),
        ("payments.shop.svc.cluster.local", "Service/shop/payments"),
        ("nothing-here", "Service/shop/nothing-here"),
        ("api.example.com", None),
        ("localhost", None),
        ("127.0.0.1", None),
        ("bad_name", None),
    ],
)
def test_hosts_mean_services(host: str, service: str | None) -> None:
    found = service_of(shop().view(), host, "shop")
    assert (str(found) if found else None) == service


@pytest.mark.parametrize(
    ("missing", "near"), [("payments-v2", "payments"), ("payment", "payments"), ("serach", "search"), ("zzz", None)]
)
def test_a_missing_service_has_a_near_name(missing: str, near: str | None) -> None:
    found = near_service(shop().view(), Key("Service", "shop", missing))
    assert (found.name if found else None) == near
