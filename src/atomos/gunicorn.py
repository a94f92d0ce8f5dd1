"""How gunicorn serves: processes and threads from the settings; connections and the worker come after the fork."""

import os
import resource
import shutil
import sys
import tempfile
from typing import Any

# Metrics of several processes meet in a folder, which prometheus_client has to know before it is imported.
_metrics = tempfile.mkdtemp(prefix="atomos-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics

from prometheus_client import multiprocess  # noqa: E402

from atomos.bootstrap import load_settings  # noqa: E402
from atomos.connections import Limits, PatientWorker  # noqa: E402
from atomos.core.domain.addresses import is_loopback  # noqa: E402

_settings = load_settings()
_http = _settings.http


class Worker(PatientWorker):
    """Serves whole requests, within the limits of the settings."""

    limits = Limits(_http.head_timeout, _http.body_timeout, _http.answer_timeout, _http.max_body_bytes)


bind = f"{_http.host}:{_http.port}"
workers = _http.processes
threads = _http.threads
worker_class = Worker
# A connection is an open file, and the database needs some, too.
worker_connections = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
# The kernel spreads connections evenly over the processes.
reuse_port = True
control_socket_disable = True
# gunicorn would take the scheme, and SCRIPT_NAME, from whoever is on this machine; who is believed is said by
# `http.trusted_proxies`.
forwarded_allow_ips = ""
graceful_timeout = 30
timeout = 60
loglevel = "warning"

_local = is_loopback(_http.host)
url = f"http://{_http.host if _local else '127.0.0.1'}:{_http.port}"
"""Where the service is reached from this machine; gunicorn has no such setting."""


def on_starting(server: Any) -> None:
    """Refuse to be open to others without authentication, whoever said where to listen: gunicorn's own options too."""
    open_to = [each[0] for each in server.cfg.address if isinstance(each, tuple) and not is_loopback(each[0])]
    if open_to and not _settings.security.authentication:
        print(
            f"It would listen on {', '.join(open_to)} without authentication; set security.authentication = true, or "
            "listen on 127.0.0.1.",
            file=sys.stderr,
        )
        raise SystemExit(1)


def post_worker_init(worker: Any) -> None:
    """Start what a serving process does beside serving, in the child."""
    worker.wsgi.extensions["atomos"].start()


def worker_exit(_server: Any, worker: Any) -> None:
    """Let deliveries in hand end, and close the connections."""
    if getattr(worker, "wsgi", None) is not None:
        worker.wsgi.extensions["atomos"].close()


def child_exit(_server: Any, worker: Any) -> None:
    """Forget the gauges of a process that ended; its counts stay."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: Any) -> None:
    """Leave nothing behind."""
    shutil.rmtree(_metrics, ignore_errors=True)


def when_ready(_server: Any) -> None:
    """Say where it serves, and who may."""
    welcome()


def welcome(*requests: str) -> None:
    """Print where it serves, requests to try, and who may; for the `when_ready` of a project."""
    tried = "".join(f"  {each}\n" for each in requests)
    lead = f" Try, in another terminal:\n\n{tried}\n" if tried else " "
    print(f"Atomos serves on {url}.{lead}The whole API: {url}/openapi.json. Ctrl-C stops it.", flush=True)
    if not _settings.security.authentication:
        print("Everyone on this machine may do everything: security.authentication is off.", flush=True)
