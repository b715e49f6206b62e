"""Callers: raw HTTP/1.1 over connections that are kept, so that the caller costs little."""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections.abc import Callable

import numpy as np

CONNECTIONS = 16

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def get(path: str, headers: str = "") -> bytes:
    """A whole GET request; `headers` are whole lines."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n".encode()


def post(path: str, body: bytes, headers: str = "") -> bytes:
    """A whole POST request; `headers` are whole lines."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> bool:
    """Send one request and read its answer: a success, or False for "too many at once", after
    which the connection is closed."""
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    if head[9:12] == b"503":
        return False
    if head[9:10] != b"2":
        raise SystemExit((head + body).decode())
    return True


async def closed_loop(port: int, sent: bytes, connections: int, seconds: float) -> int:
    """Answers that `connections` callers get, each sending when it has its answer."""
    end = time.perf_counter() + seconds

    async def caller() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.perf_counter() < end:
            if not await exchange(reader, writer, sent):
                raise SystemExit("so few callers were refused")
            count += 1
        writer.close()
        return count

    return sum(await asyncio.gather(*(caller() for _ in range(connections))))


async def open_loop(
    port: int, request: Callable[[int], bytes], per_second: float, seconds: float
) -> list[float]:
    """Latencies in seconds at a fixed rate, from the moment a call was due: waiting counts.

    Not the caller's own pauses: what it holds is left out of its collections.
    """
    gc.collect()
    gc.freeze()
    idle: list[Connection] = [
        await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)
    ]
    latencies: list[float] = []

    async def one(due: float, sent: bytes) -> None:
        connection = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        if await exchange(*connection, sent):
            latencies.append(time.perf_counter() - due)
            idle.append(connection)
        else:
            latencies.append(math.inf)  # who is refused is not answered at all
            connection[1].close()

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(per_second * seconds)):
            due = start + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due, request(number)))
    for _, writer in idle:
        writer.close()
    return latencies


def quantile_ms(latencies: list[float], share: float) -> float:
    """The quantile of latencies, in milliseconds."""
    return float(np.quantile(latencies, share, method="higher")) * 1e3
