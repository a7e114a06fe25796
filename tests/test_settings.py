"""Settings that can't be used are told by the name of their variable, with the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from mem1_mcp.errors import SettingsError
from mem1_mcp.settings import load

HTTPS = "https://es.example.com"
WRONG: list[tuple[dict[str, str], str]] = [
    ({"storage_backend": "elasticsearch"}, "MEM1_ES_HOSTS: MEM1_STORAGE_BACKEND=elasticsearch needs it"),
    ({"storage_backend": "mongo"}, "MEM1_STORAGE_BACKEND: "),
    ({"es_hosts": "ftp://es"}, "MEM1_ES_HOSTS: each must be scheme, name and port"),
    ({"es_hosts": "http://es/path"}, "MEM1_ES_HOSTS: each must be scheme, name and port"),
    ({"es_hosts": HTTPS, "es_prefix": "Mcp-"}, "MEM1_ES_PREFIX: may hold small letters"),
    ({"es_hosts": HTTPS, "es_ca_file": "/no/such/file"}, "MEM1_ES_CA_FILE: is no file"),
    ({"es_hosts": HTTPS, "es_fingerprint": "xyz"}, "MEM1_ES_FINGERPRINT: must be a SHA-256 fingerprint"),
    ({"es_hosts": HTTPS, "es_user": "a", "es_api_key": "b"}, "MEM1_ES_API_KEY: MEM1_ES_USER is set too"),
    ({"es_hosts": HTTPS, "es_password": "a"}, "MEM1_ES_USER: MEM1_ES_PASSWORD is set without it"),
    ({"es_hosts": "http://es", "es_fingerprint": "a" * 64}, "each must begin with https://"),
]


@pytest.mark.parametrize(("given", "words"), WRONG, ids=lambda each: str(each)[:40])
def test_a_cluster_that_can_not_be_reached_so_is_refused_by_name(given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(**given)

    assert words in str(refused.value)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError) as refused:
        load(es_hosts="https://elastic:hunter22@es.example.com:9200")

    assert "user and password go into MEM1_ES_USER and MEM1_ES_PASSWORD" in str(refused.value)
    assert "hunter22" not in str(refused.value)


def test_hosts_choose_elasticsearch_unless_the_backend_says_otherwise(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.touch()

    assert load().backend == "sqlite"
    assert load(es_hosts=f"{HTTPS},es2.example.com:9201").backend == "elasticsearch"
    assert load(es_hosts=HTTPS, storage_backend="sqlite").backend == "sqlite"
    chosen = load(
        es_hosts=f"{HTTPS}, {HTTPS}:9201/", es_ca_file=str(authority), es_fingerprint="AB:" * 31 + "AB"
    )
    assert chosen.es_hosts == (f"{HTTPS}:9200", f"{HTTPS}:9201")
