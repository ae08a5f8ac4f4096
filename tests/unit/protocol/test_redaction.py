"""What is blacked out and what is not. In a row, what stands between ‹ and › is the secret; more rows in redaction_*.yaml."""

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.redaction import MARK, holds_secret, redact, redact_tree

B64 = base64.b64encode(b"hunter2hunter2").decode()
USER_PASS = base64.b64encode(b"bob:hunter2").decode()
JWT = ".".join(("eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ", "eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0", "c2lnbmF0dXJl"))
PEM_BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


def _rows(name: str) -> dict[str, str]:
    """Of a data file. ¦ is nothing: it keeps scanners from taking the file for a leak."""
    raw: dict[str, str] = yaml.safe_load((Path(__file__).parent / f"redaction_{name}.yaml").read_text(encoding="utf-8"))
    return {f"{name}: {what}": row.replace("¦", "") for what, row in raw.items()}


def _shaped(*parts: str) -> str:
    """Made of parts, so that no scanner takes this file for a leak."""
    return "".join(parts)


POSITIVES = {
    # keys and values
    "yaml": "user: bob\npassword: ‹hunter2›\nport: 5432",
    "yaml with spaces in it": "password: ‹correct horse battery›\nnext: 1",
    "yaml with a comment": "password: ‹hunter2› # the old one",
    "yaml in double quotes": 'db:\n  password: "‹hunter2›"\n',
    "yaml in single quotes": "  apiKey: '‹hunter2›'\n",
    "yaml block": "password: ‹|\n  hunter2\n  more›\nnext: 1",
    "yaml list item": "- password: ‹hunter2›",
    "number as a password": "password: ‹12345›",
    "json": '{"user": "bob", "password": "‹hunter2›", "n": 1}',
    "json without spaces": '{"client_secret":"‹hunter2›","x":1}',
    "json number": '{"password":‹12345›}',
    "json with an escaped quote": '{"password":"‹hun\\"ter2›","x":"y"}',
    "json cut": '{"password":"‹hunter2›',
    "json inside json": '{"spec":"{\\"password\\":\\"‹hunter2›\\",\\"user\\":\\"bob\\"}"}',
    "json twice inside json": '"{\\\\\\"token\\\\\\":\\\\\\"‹hunter2›\\\\\\"}"',
    "environment file": "DB_HOST=db\nDB_PASSWORD=‹hunter2›\nDB_PORT=1",
    "export": "export API_TOKEN=‹hunter2›",
    "properties": "spring.datasource.password=‹hunter2›",
    "java flag": "java -Ddb.password=‹hunter2› -jar x.jar",
    "camel case": "clientSecret: ‹hunter2›",
    "joined": "dbpassword=‹hunter2›",
    "kebab": "api-key: ‹hunter2›",
    "suffix": "GITHUB_TOKEN_PROD=‹hunter2›",
    "aws secret": "aws_secret_access_key = ‹wJalrXUtnFEMIK7MDENGbPxRfiCY›",
    "access key": "AWS_SECRET_ACCESS_KEY: ‹wJalrXUtnFEMI/K7MDENG›",
    "private key by name": "private_key: ‹hunter2hunter2›",
    "tls.key": f"tls.key: ‹{B64}›",
    "kubeconfig client key": f"    client-key-data: ‹{B64}›\n",
    "kubeconfig token": "    token: ‹hunter2›\n",
    "docker config": f'{{"auths":{{"r.example":{{"auth":"‹{USER_PASS}›"}}}}}}',
    "dockerconfigjson": f"  .dockerconfigjson: ‹{B64}›",
    "identity token": '{"identitytoken":"‹hunter2›"}',
    "vault secret id": "secret_id: ‹hunter2›",
    "session id": "session_id=‹hunter2x›",
    "log line": 'level=error msg="login failed" user=bob password=‹hunter2› host=db',
    "log line with commas": "connecting with {user=bob, password=‹hunter2›, host=db}",
    "log line, colon": "connecting with user: bob, password: ‹hunter2›, host: db",
    "go struct": "{User:bob Password:‹hunter2› Host:db}",
    "rocket": ":password => '‹hunter2›', :user => 'bob'",
    "assignment": 'password := "‹hunter2›"',
    "connection string": "Server=db;User Id=sa;Password=‹hunter2›;Encrypt=true",
    "connection string with a key": "AccountName=x;AccountKey=‹aHVudGVyMmh1bnRlcjI=›;EndpointSuffix=y",
    "query string": "GET /login?user=bob&token=‹hunter2›&x=1",
    "escaped line breaks": "\\nuser: bob\\npassword: ‹hunter2›\\nhost: db",
    "describe": "      DB_PASSWORD:  ‹hunter2›\n      DB_HOST:      db",
    # environment entries
    "env yaml": "- name: DB_PASSWORD\n  value: ‹hunter2›\n- name: DB_HOST\n  value: db",
    "env yaml in quotes": '        - name: API_KEY\n          value: "‹hunter2›"\n',
    "env json": '{"name":"DB_PASSWORD","value":"‹hunter2›"},{"name":"A","value":"b"}',
    "env json, indented": '{\n  "name": "DB_PASSWORD",\n  "value": "‹hunter2›"\n}',
    "env json, value first": '{"value":"‹hunter2›","name":"DB_PASSWORD"}',
    "env yaml, value first": "- value: ‹hunter2›\n  name: DB_PASSWORD",
    "env json inside json": '"[{\\"name\\":\\"DB_PASSWORD\\",\\"value\\":\\"‹hunter2›\\"}]"',
    # command lines
    "flag": "mysql --user bob --password ‹hunter2› --host db",
    "flag with =": "vault login --token=‹hunter2›",
    "args in json": '["--user","bob","--password","‹hunter2›","--host"]',
    "args in yaml": "- --user\n- bob\n- --password\n- ‹hunter2›\n- --host",
    "curl -u": "curl -u bob:‹hunter2› https://x",
    "sql": "ALTER USER bob WITH PASSWORD '‹hunter2›';",
    "sql, mysql": "CREATE USER bob IDENTIFIED BY '‹hunter2›';",
    "redis.conf": "requirepass ‹hunter2›",
    "netrc": "machine h login bob password ‹hunter2›",
    # headers
    "bearer header": "Authorization: Bearer ‹hunter2›",
    "basic header": f"authorization: Basic ‹{USER_PASS}›",
    "header on a command line": 'curl -H "Authorization: Bearer ‹hunter2›" https://x',
    "header in a go map": "map[Authorization:[Bearer ‹hunter2›] Accept:[*/*]]",
    "header in json": '{"Authorization":["Bearer ‹hunter2›"],"Accept":["*/*"]}',
    "token header": "X-Auth-Token: ‹hunter2›",
    "cookie": "Cookie: ‹sid=hunter2; theme=dark›",
    "set-cookie": "set-cookie: ‹sid=hunter2; Path=/›",
    "bearer alone": "sent Bearer ‹abcdef0123456789abcdef› to the API",
    "basic alone": f"sent Basic ‹{USER_PASS}› to the API",
    # addresses
    "postgres": "postgres://bob:‹hunter2›@db:5432/shop",
    "postgres with a slash": "postgres://bob:‹hun/ter2›@db:5432/shop",
    "redis": "redis://:‹hunter2›@cache:6379/0",
    "mongodb": "mongodb+srv://bob:‹hunter2›@cluster0.example/x",
    "https": "https://bob:‹hunter2›@git.example/x.git",
    "go dsn": "bob:‹hunter2›@tcp(db:3306)/shop",
    "url under a harmless key": "DATABASE_URL=postgres://bob:‹hunter2›@db/shop",
    # shapes
    "jwt": f"got ‹{JWT}› from the API",
    "jwt cut": f"got ‹{JWT[:60]}›",
    "head of a jwt": "got ‹eyJhbGciOiJSUzI1NiIsImtp›",
    "jwt behind an escaped line break": f"token\\n‹{JWT}›",
    "pem": f"‹-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----›\nafter",
    "pem cut at the end": f"before\n‹-----BEGIN PRIVATE KEY-----\n{PEM_BODY}›",
    "pem cut at the start": f"‹{PEM_BODY}\n-----END EC PRIVATE KEY-----›\nafter",
    "pem on one line": "key ‹-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkq\\n-----END PRIVATE KEY-----›!",
    "pem in yaml": f"tls: ‹-----BEGIN PRIVATE KEY-----\n    {PEM_BODY}\n    -----END PRIVATE KEY-----›\nnext: 1",
    "openssh": f"‹-----BEGIN OPENSSH PRIVATE KEY-----\n{PEM_BODY}\n-----END OPENSSH PRIVATE KEY-----›",
    "pem in base64": "cert: ‹LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlF›",
    "aws key id": _shaped("id ‹AKIA", "IOSFODNN7EXAMPLE› used"),
    "github": _shaped("cloned with ‹ghp", "_16C7e42F292c6912E7710c838347Ae178B4a›"),
    "github fine-grained": _shaped("‹github", "_pat_11ABCDEFG0123456789_abcdefghijklmnop›"),
    "gitlab": _shaped("‹glpat", "-0123456789abcdefghij›"),
    "slack": _shaped("‹xoxb", "-123456789012-abcdefghijkl›"),
    "slack webhook": _shaped("https://hooks.slack", ".com/services/‹T00000000/B00000000/XXXXXXXXXXXX0000›"),
    "openai": _shaped("using ‹sk", "-proj-abcdefghij0123456789›"),
    "openai, old": _shaped("using ‹sk", "-abcdefghijklmnopqrstuvwxyz0123456789AB›"),
    "stripe": _shaped("‹sk", "_live_0123456789abcdefghijklmn›"),
    "google": _shaped("‹AI", "zaSyA0123456789abcdefghijklmnopqrstuv›"),
    "google oauth": _shaped("‹ya29", ".a0AfH6SMBx0123456789abcdef›"),
    "npm": _shaped("‹npm", "_abcdefghijklmnopqrstuvwxyz0123456789›"),
    "hugging face": _shaped("‹hf", "_abcdefghijklmnopqrstuvwxyzABCDEFGH›"),
    "vault": _shaped("‹hvs", ".CAESIJ0123456789abcdefghij›"),
    "sas": "https://x.example/c?sv=2020&sig=‹abcdef0123456789%2Babc%3D›&se=2026",
    "amazon signature": "https://s3.example/x?X-Amz-Signature=‹abcdef0123456789›&X-Amz-Date=1",
    # Secrets
    "secret yaml": f"apiVersion: v1\ndata:\n  user: ‹{B64}›\n  pin: ‹MTIzNA==›\nkind: Secret\ntype: Opaque",
    "secret yaml, kind first": f"kind: Secret\nmetadata:\n  name: db\ndata:\n  user: ‹{B64}›\n",
    "secret yaml, stringData": "kind: Secret\nstringData:\n  conf.ini: ‹|\n    [db]\n    x = 1›\n  a: ‹b›\n",
    "secret in a list": f"items:\n- data:\n    a: ‹{B64}›\n  kind: Secret\n- kind: ConfigMap\n  data:\n    a: kept\n",
    "secret list of the api": f'{{"kind":"SecretList","items":[{{"metadata":{{}},"data":{{"a":"‹{B64}›"}}}}]}}',
    "secret json": f'{{"kind":"Secret","data":{{"user":"‹{B64}›","b":"‹MQ==›"}},"type":"Opaque"}}',
    "secret json, indented": f'{{\n  "data": {{\n    "user": "‹{B64}›"\n  }},\n  "kind": "Secret"\n}}',
    "secret json, cut": f'{{"kind":"Secret","data":{{"user":"‹{B64[:6]}›',
    "secret applied": f'{{"annotations":{{"a":"{{\\"data\\":{{\\"u\\":\\"‹{B64}›\\"}},\\"kind\\":\\"Secret\\"}}"}}}}',
    "secret beside a config map": f'[{{"kind":"ConfigMap","data":{{"a":"b"}}}},{{"kind":"Secret","data":{{"a":"‹{B64}›"}}}}]',
    "secret applied, in yaml": (
        "metadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: |\n"
        f'      {{"apiVersion":"v1","data":{{"u":"‹{B64}›"}},"kind":"Secret"}}\n'
    ),
}

INNOCENTS = {
    "digest": "image: registry.example/web@sha256:" + "0123456789abcdef" * 4,
    "git sha": "commit 8f14e45fceea167a5a36dedd4bea2543deadbeef by bob",
    "uuid": "uid: 5b1f6e1a-2f2b-4c52-8a44-0d9d2f6f8a11",
    "pod name": "payments-7d4b9c6f5d-x2k4z   1/1   Running   0   5m",
    "token volume": "name: default-token-x2k4z",
    "projected token": "- serviceAccountToken:\n    expirationSeconds: 3607\n    path: token",
    "token expiration": "tokenExpirationSeconds: 3607",
    "token number": "token: 3607",
    "max tokens": '{"max_tokens": 4096, "prompt_tokens": 12, "total_tokens": 99}',
    "automount": "automountServiceAccountToken: true",
    "secret name": "secretName: db-credentials",
    "secret ref": "envFrom:\n- secretRef:\n    name: db-credentials",
    "secret key ref": "valueFrom:\n  secretKeyRef:\n    key: password\n    name: db-credentials",
    "secret key ref json": '{"name":"DB_PASSWORD","valueFrom":{"secretKeyRef":{"key":"password","name":"db"}}}',
    "secret volume": "volumes:\n- name: creds\n  secret:\n    defaultMode: 420\n    secretName: db",
    "pull secrets": "imagePullSecrets:\n- name: regcred",
    "existing secret": "existingSecret: db-credentials",
    "empty": 'password: ""\nuser: bob',
    "empty, bare": "password:\nuser: bob",
    "empty in single quotes": "password: ''",
    "null": '{"password": null, "token": false}',
    "describe reference": "DB_PASSWORD:  <set to the key 'password' in secret 'db'>  Optional: false",
    "describe none": "Image pull secrets:  <none>\nTokens:              <none>",
    "placeholder": "password: ${DB_PASSWORD}",
    "placeholder of kubernetes": "--password=$(DB_PASSWORD)",
    "placeholder of helm": "password: {{ .Values.db.password }}",
    "mask": "password: ********",
    "redacted already": 'password: [redacted]\n{"token":"[redacted]"}',
    "missing secret": 'MountVolume.SetUp failed for volume "db-token" : secret "db-credentials" not found',
    "missing secret, quoted": 'Error: secret "db-credentials" not found',
    "missing key": "couldn't find key DB_PASSWORD in Secret shop/db-credentials",
    "sentence about a token": "invalid token: unexpected end of input",
    "sentence about a password": "Login failed, password: authentication failed for user bob",
    "sentence about a secret": "failed to get secret: forbidden by RBAC",
    "key of a config map": "references non-existent config key: app.yaml",
    "password file": "POSTGRES_PASSWORD_FILE: /run/secrets/db",
    "password path": "password: /var/run/secrets/db/password",
    "token path": "token: /var/run/secrets/kubernetes.io/serviceaccount/token",
    "mount": "/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-x2k4z (ro)",
    "working directory": "PWD=/app\nOLDPWD=/",
    "password policy": "password_policy: strict\npassword_min_length: 12\npasswordRequired: true",
    "password authentication": "PasswordAuthentication no\npassword_authentication: md5",
    "token ttl": "tokenTTL: 24h0m0s\ntoken_timeout=30s",
    "token type": '{"token_type": "bearer", "expires_in": 3600}',
    "url without a password": "https://git.example/x.git and postgres://db:5432/shop",
    "url with a user": "ssh://git@git.example:22/x.git",
    "url with a port and an at": "http://svc:8080/path@v1",
    "email": "owner: bob@example.com",
    "time": "2026-03-01T12:00:00Z level=info took=12ms",
    "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "public key": "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "certificate in base64": "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
    "kubeconfig, public part": "client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
    "continue token": '"continue":"eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTIzfQ"',
    "config map": "kind: ConfigMap\ndata:\n  url: http://payments:8080\n  mode: fast",
    "config map json": '{"kind":"ConfigMap","data":{"a":"b"}}',
    "involved object": '{"involvedObject":{"kind":"Secret","name":"db"},"reason":"Synced","data":{"a":"b"}}',
    "sk- in a name": "sk-learn-model-server-5d4f7c9b8-x2k4z",
    "bypass": "bypass=true compass: north",
    "go test": "--- PASS: TestFoo (0.00s)\nPASS",
    "counts": "pass=3 fail=0 secrets: 12",
    "rate limit": "token bucket: rate=100 burst=20",
    "key of a map": "partition_key: orders, sort_key: created",
    "public key id": "key_id=1234 access_key_id: none public_key: abc",
    "keyboard": "keyboard=us monkey: george turkey=yes",
    "author": "author: bob\nauthority: example\nauthn=ok",
    "cookies": "cookies: 3\ncookie_count=2",
    "basic english": "basic authentication is on; bearer authentication is off",
    "prometheus": 'http_requests_total{namespace="shop",pod="web-0",code="500"} 12',
    "limits": "limits:\n  memory: 512Mi\nrequests:\n  cpu: 250m",
    "oom": "Last State: Terminated\n  Reason: OOMKilled\n  Exit Code: 137",
    "chinese": "支付服务的密码策略: 正常",
}


POSITIVES.update(_rows("connections") | _rows("contexts") | _rows("keys"))
INNOCENTS.update(_rows("innocents"))


def _sides(row: str) -> tuple[str, str, int]:
    """The text, what becomes of it, and how many secrets it holds."""
    return re.sub("[‹›]", "", row), re.sub("‹[^›]*›", MARK, row), row.count("‹")


@pytest.mark.parametrize("row", POSITIVES.values(), ids=POSITIVES)
def test_secrets_are_blacked_out(row: str) -> None:
    text, expected, count = _sides(row)
    redacted = redact(text)
    assert redacted.text == expected
    assert redacted.count == count
    assert holds_secret(text)


@pytest.mark.parametrize("row", POSITIVES.values(), ids=POSITIVES)
def test_doing_it_twice_changes_nothing_more(row: str) -> None:
    once = redact(_sides(row)[0]).text
    assert redact(once).text == once
    assert redact(once).count == 0


@pytest.mark.parametrize("text", INNOCENTS.values(), ids=INNOCENTS)
def test_the_innocent_stay_as_they_are(text: str) -> None:
    assert redact(text).text == text
    assert redact(text).count == 0
    assert not holds_secret(text)


def test_the_tables_are_large() -> None:
    assert len(POSITIVES) >= 320
    assert len(INNOCENTS) >= 180


pieces = st.one_of(
    st.sampled_from([_sides(row)[0] for row in POSITIVES.values()]),
    st.sampled_from(list(INNOCENTS.values())),
    st.sampled_from(
        ("\n", " ", ", ", '"', "'", "{", "}", "\\", "\\n", ": ", "=", "password", "kind: Secret\n", MARK, "- ", "value: ")
    ),
    st.text(max_size=8),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(pieces, max_size=8).map("".join))
def test_any_mixture_is_blacked_out_once(text: str) -> None:
    once = redact(text)
    twice = redact(once.text)
    assert twice.text == once.text
    assert twice.count == 0
    assert (once.count == 0) == (once.text == text)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ("password: {}", '{{"password":"{}"}}', "PASSWORD={} x", "--password {}", "postgres://u:{}@h/d", "token={}&a=b")
    ),
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.~-]{7,30}[0-9]", fullmatch=True),
)
def test_no_password_survives(notation: str, secret: str) -> None:
    assert secret not in redact(notation.format(secret)).text


# Time is linear. Not a stopwatch: the same work four times over may take a little more than four times as long, while anything
# quadratic takes sixteen times as long.

HARD = [
    "a", "\\", '"', "'", " ", "\n", "a_", "key", "a=b ", "password=hunter2 ", 'password:"', "password: ",
    'token:\\"', "eyJ", "eyJ.", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", '"value":"',
    "value:", " value: x name: ", "://a:", "postgres://a:", '{"kind":"Secret","data":{"',
    '{"kind":"Secret","data":{"a":"b"}', "kind: Secret\ndata:\n  a: b\n", '{\\"kind\\":\\"Secret\\",',
    "name: password\n", "LS0tLS1CRUdJTi", "Bearer a", "cookie: ", "auth", "login x password",
    "- password: |\n  a\n", "[[", "a:b@tcp", "password,", "password" + " " * 60, "xoxb-", "--password\n  - ",
]  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best


@pytest.mark.parametrize("unit", HARD, ids=repr)
def test_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    small, large = (unit * (size // len(unit)) for size in (40_000, 160_000))
    assert _seconds(lambda: redact(large)) < 10 * _seconds(lambda: redact(small)) + 0.02


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(HARD), pieces), min_size=1, max_size=4).map("".join).filter(bool))
def test_no_mixture_takes_time_that_grows_faster(unit: str) -> None:
    """Whatever somebody writes into a log over and over, in one line or in many."""
    small, large = (unit * (size // len(unit) + 1) for size in (6_000, 24_000))
    assert _seconds(lambda: redact(large)) < 10 * _seconds(lambda: redact(small)) + 0.03


@pytest.mark.parametrize("end", ["\n", " "], ids=["many lines", "one line"])
def test_a_large_log_takes_as_long_as_its_length(end: str) -> None:
    line = 'level=info msg="handled" path=/cart token_count=12 trace_id=4bf92f3577b34da6a3ce929d0e0e4736' + end
    small, large = (line * (size // len(line)) for size in (500_000, 4_000_000))
    assert _seconds(lambda: redact(large)) < 24 * _seconds(lambda: redact(small))


TREES: dict[str, tuple[Any, Any]] = {
    "a key": ({"password": "hunter2"}, {"password": MARK}),
    "a number": ({"password": 12345, "token": 3607}, {"password": MARK, "token": 3607}),
    "deep": ({"a": [{"b": {"apiKey": "hunter2"}}]}, {"a": [{"b": {"apiKey": MARK}}]}),
    "an entry of an environment": (
        [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DB_HOST", "value": "db"}],
        [{"name": "DB_PASSWORD", "value": MARK}, {"name": "DB_HOST", "value": "db"}],
    ),
    "a change": (
        {"path": "spec.template.spec.containers[app].env[DB_PASSWORD].value", "before": "hunter2", "after": None},
        {"path": "spec.template.spec.containers[app].env[DB_PASSWORD].value", "before": MARK, "after": None},
    ),
    "evidence": (
        {"source": "object", "field": "data.api_token", "excerpt": "hunter2"},
        {"source": "object", "field": "data.api_token", "excerpt": MARK},
    ),
    "a Secret": (
        {"kind": "Secret", "metadata": {"name": "db"}, "data": {"user": "Ym9i", "empty": ""}},
        {"kind": "Secret", "metadata": {"name": "db"}, "data": {"user": MARK, "empty": ""}},
    ),
    "a list of passwords": ({"passwords": ["hunter2", ""]}, {"passwords": [MARK, ""]}),
    "a text in it": ({"message": "password=hunter2 user=bob"}, {"message": f"password={MARK} user=bob"}),
    "names of Secrets": (
        {"secrets": [{"name": "db"}], "secretName": "db", "metric": {"secret": "db", "namespace": "shop"}},
        {"secrets": [{"name": "db"}], "secretName": "db", "metric": {"secret": "db", "namespace": "shop"}},
    ),
    "a reference": (
        {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
    ),
    "a file": ({"password": "/run/secrets/db"}, {"password": "/run/secrets/db"}),
    "a sentence about one": (
        {"reason": "FailedMount", "message": 'secret "db-credentials" not found', "count": 3},
        {"reason": "FailedMount", "message": 'secret "db-credentials" not found', "count": 3},
    ),
}


@pytest.mark.parametrize("row", TREES.values(), ids=TREES)
def test_a_parsed_document_is_blacked_out_by_its_keys(row: tuple[Any, Any]) -> None:
    value, expected = row
    found, count = redact_tree(value)
    assert found == expected
    assert (count > 0) == (value != expected)
    assert redact_tree(found) == (expected, 0)
