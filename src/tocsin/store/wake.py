"""Tell the workers that there is work: one coalesced Redis push, whose failure costs only time.

The message is written in Celery's own protocol (version 2, JSON over kombu's Redis transport), so that the receiver can
wake a worker without importing Celery. https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

from __future__ import annotations

import base64

import orjson
import redis
import uuid_utils

TIMEOUT_S = 0.25
"""A push that takes longer is given up: the beat finds the work within a second. No request waits for it. A busy
machine must not look like a lost broker: a push given up between its two commands keeps others away for FORGET_MS."""

FORGET_MS = 1000
"""A wake-up that no worker has taken up is repeated after this."""


class Waker:
    """Pushes `task` onto `queue` unless an earlier wake-up for it still waits."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=None, health_check_interval=0
        )
        self.failures = 0

    def wake(self, task: str, queue: str) -> bool:
        """True when a wake-up waits or was pushed; False (and counted) when Redis does not answer in time."""
        try:
            if self._redis.set(wake_key(task), b"1", nx=True, px=FORGET_MS):
                self._redis.lpush(queue, celery_message(task, queue))
        except redis.RedisError:
            self.failures += 1
            return False
        return True

    def waiting(self, queue: str) -> int:
        """Wake-ups that no worker has taken up yet; 0 (and counted) when Redis does not answer in time."""
        try:
            return int(self._redis.llen(queue))
        except redis.RedisError:
            self.failures += 1
            return 0

    def awake(self, task: str) -> None:
        """A worker has taken the wake-up: the next event pushes a new one."""
        try:
            self._redis.delete(wake_key(task))
        except redis.RedisError:
            self.failures += 1


def wake_key(task: str) -> str:
    return f"tocsin:wake:{task}"


def celery_message(task: str, queue: str) -> bytes:
    """A task without arguments, as Celery's Redis transport stores it."""
    task_id = str(uuid_utils.uuid7())
    return orjson.dumps(
        {
            "body": base64.b64encode(
                b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
            ).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": task,
                "id": task_id,
                "root_id": task_id,
                "parent_id": None,
                "group": None,
                "retries": 0,
                "eta": None,
                "expires": None,
                "timelimit": [None, None],
                "argsrepr": "()",
                "kwargsrepr": "{}",
                "ignore_result": True,
            },
            "properties": {
                "correlation_id": task_id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": task_id,
            },
        }
    )
