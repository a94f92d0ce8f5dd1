"""A real service as others reach it: rates over all its processes, hosts, proxies and pages of other origins."""

from __future__ import annotations

import os
import subprocess
import sys
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from atomos.serving import gunicorn
from atomos.testing.broker_servers import RedisServer
from atomos.testing.processes import Service, free_port

from .conftest import PROJECT, StartService

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

BATCHES = "/allocation/batches"


def asked(service: Service, path: str = BATCHES, **headers: str) -> HTTPResponse:
    """Ask on a connection of its own, which any of the processes may get; the answer has been read."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request(
        "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    answer = connection.getresponse()
    answer.said = answer.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return answer


def statuses(service: Service, times: int, **headers: str) -> list[int]:
    return sorted(asked(service, **headers).status for _ in range(times))


def environment(**values: Any) -> dict[str, str]:
    return {f"ATOMOS_{name}": value for name, value in values.items()}


@pytest.mark.services
def test_a_rate_holds_for_all_processes_together_and_an_outage_of_redis_ends_no_service(
    start_service: StartService,
) -> None:
    with RedisServer() as redis:
        service = start_service(
            processes=2, environment=environment(LIMITS__ADDRESS="20/hour", LIMITS__STORAGE=redis.url)
        )
        assert statuses(service, 50) == [200] * 20 + [429] * 30
        assert "warnings" not in asked(service, "/health/ready").said  # type: ignore[attr-defined]
        redis.kill()
        # The window of this address is used up, which each process knows by now; the others' begin anew.
        assert asked(service).status == 429
        ready = asked(service, "/health/ready")
        assert ready.status == 200
        assert "each process counts for itself" in ready.said  # type: ignore[attr-defined]


def test_who_stands_in_front_is_believed_and_nobody_else(start_service: StartService) -> None:
    rate = environment(LIMITS__ADDRESS="2/hour")
    plain = start_service(environment=rate)
    forwarded = {"X_Forwarded_Proto": "https", "Script_Name": "/elsewhere"}
    answers = [asked(plain, X_Forwarded_For=f"192.0.2.{n}", **forwarded) for n in range(3)]
    assert [each.status for each in answers] == [200, 200, 429]
    assert {each.headers["Strict-Transport-Security"] for each in answers} == {None}
    behind = start_service(environment={**rate, **environment(HTTP__TRUSTED_PROXIES='["127.0.0.1"]')})
    answers = [asked(behind, X_Forwarded_For=f"192.0.2.{n}", **forwarded) for n in range(3)]
    assert [each.status for each in answers] == [200, 200, 200]
    assert {each.headers["Strict-Transport-Security"] for each in answers} == {"max-age=63072000"}


def test_hosts_and_origins_come_from_the_settings(start_service: StartService) -> None:
    app = "https://app.example.org"
    service = start_service(
        environment=environment(HTTP__ALLOWED_HOSTS='["api.example.org"]', CORS__ORIGINS=f'["{app}"]')
    )
    assert asked(service).status == 400
    answer = asked(service, Host="api.example.org", Origin=app)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, app)


def test_what_leads_nowhere_is_refused_and_counted_like_everything_else(start_service: StartService) -> None:
    service = start_service(environment=environment(LIMITS__ADDRESS="1/hour"))
    first, second = (asked(service, "/static/x") for _ in range(2))
    assert (first.status, second.status) == (404, 429)
    assert "default-src 'none'" in first.headers["Content-Security-Policy"]


def test_options_of_gunicorn_do_not_open_it_to_others_either(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, *gunicorn(PROJECT), "--bind", f"0.0.0.0:{free_port()}"],
        env={**os.environ, "ATOMOS_DATABASE__URL": f"sqlite:///{tmp_path}/a.db"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert "would listen on 0.0.0.0 without authentication" in ran.stderr


def test_a_doubled_slash_leads_nowhere_and_not_to_where_the_host_header_says(
    start_service: StartService,
) -> None:
    answer = asked(start_service(), "/allocation//batches", Host="evil.example")
    assert (answer.status, answer.headers["Location"]) == (404, None)
