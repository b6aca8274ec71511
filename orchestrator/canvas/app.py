"""The Celery app as submitters and workers share it: settings for hints that may be lost,
doubled or late. Why each stands so is measured in ops/adr.
"""

from __future__ import annotations

from typing import Final

from celery import Celery

from orchestrator.errors import SettingsRefused
from orchestrator.journal.line import ANSWER, CONNECT, CONNECTIONS, HEALTH
from orchestrator.settings import DEFAULT_LANE, Settings

#: A message whose worker died before its ack comes back after this; a claim makes it harmless. s.
VISIBILITY: Final = 300
RESULT_LIFE: Final = 86_400
#: At a worker's end its calls may take so long to land. Below the 30 s of Kubernetes. s.
GRACE: Final = 25

#: Upon a connection that broke; a message or a result that was lost all the same is only late.
_ONCE_MORE: Final = {
    "max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2,
}  # fmt: skip


def make_app(settings: Settings) -> Celery:
    """Raises SettingsRefused when no Redis is named: Celery would look for RabbitMQ."""
    if not settings.redis_url:
        raise SettingsRefused(
            "no Redis is named: set DURAZZO_REDIS_URL, e.g. redis://127.0.0.1:6379/0"
        )
    app = Celery("durazzo", broker=_url(settings.redis_url), backend=_url(settings.redis_url))
    transport = {
        "visibility_timeout": VISIBILITY,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": ANSWER,
        "socket_connect_timeout": CONNECT,
        "socket_keepalive": True,
        "health_check_interval": HEALTH,
        "max_connections": CONNECTIONS,
        # Whoever sends does not wait for a broker that is away: the journal sends it again. Without
        # this, the first message of a process would wait for ever.
        **_ONCE_MORE,
        # What stores a result reads its policy here.
        "retry_policy": _ONCE_MORE,
    }
    app.conf.update(
        task_default_queue=DEFAULT_LANE,
        task_create_missing_queues=True,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        # The journal holds every outcome before a task ends, so what is acked is never lost.
        task_acks_late=True,
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_reject_on_worker_lost=False,
        task_ignore_result=True,
        task_track_started=False,
        task_send_sent_event=False,
        worker_send_task_events=True,
        worker_prefetch_multiplier=1,
        worker_eta_task_limit=1_000,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=GRACE,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A broker that refuses writes is waited for, see workers/writable.py, and ends no worker.
        broker_channel_error_retry=True,
        task_publish_retry_policy=_ONCE_MORE,
        redis_socket_timeout=ANSWER,
        redis_socket_connect_timeout=CONNECT,
        redis_backend_health_check_interval=HEALTH,
        redis_max_connections=CONNECTIONS,
        broker_transport_options=transport,
        result_backend_transport_options=transport,
        visibility_timeout=VISIBILITY,
        result_expires=RESULT_LIFE,
        result_extended=False,
    )
    return app


def _url(redis_url: str) -> str:
    """Celery's spelling of a Unix socket's URL."""
    return redis_url.replace("unix://", "redis+socket://", 1)
