import os, sys
from atomos.core.adapters.messaging.redis_streams import RedisBroker
from atomos.core.adapters.messaging.nats import NatsBroker
from atomos.core.service.messaging import *

for B, u in ((RedisBroker, "redis://127.0.0.1:6379/9"), (NatsBroker, "nats://127.0.0.1:4222")):
    b = B(u, prefix="forktest", timeout=5)
    s = Subscription("a.b", "x")
    b.declare(Topology((), (s,)))
    assert b.publish("a.b", [WireMessage(b"1")]) == [None]
    pid = os.fork()
    if not pid:
        assert b.publish("a.b", [WireMessage(b"2")]) == [None]
        b.close()
        os._exit(0)
    print(B, os.waitpid(pid, 0))
    assert b.publish("a.b", [WireMessage(b"3")]) == [None]
    c = b.consume(s)
    g = []
    while len(g) < 3:
        t = c.receive(10, 3)
        assert t
        g += t
    print([x.message.body for x in g])
    c.acknowledge(g)
    c.close()
    b.close()
    try:
        c.receive(1, 1)
        print("?")
    except Exception as e:
        print(repr(e))
import redis, asyncio, nats

redis.Redis.from_url("redis://127.0.0.1:6379/9").delete("forktest:a.b")


async def f():
    n = await nats.connect()
    await n.jetstream().delete_stream("forktest_a_b")
    await n.close()


asyncio.run(f())
