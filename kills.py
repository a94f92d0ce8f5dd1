import sys, random, time
from atomos.testing.conformance.broker_outages import Traffic
from atomos.testing.conformance.broker_steps import subscribe
from atomos.core.adapters.messaging.redis_streams import RedisBroker
from atomos.core.adapters.messaging.nats import NatsBroker
from atomos.testing.broker_servers import RedisServer, NatsServer
import structlog

S, B = (RedisServer, RedisBroker) if sys.argv[1] == "redis" else (NatsServer, NatsBroker)
seed = int(sys.argv[2])
R = random.Random(seed)
with S() as s:
    b = B(s.url, timeout=3.0)
    with Traffic(b, subscribe(b, "shop.x")) as t:
        for i in range(8):
            t.wait_for_more()
            time.sleep(R.random() * 0.3)
            how = R.choice(["kill", "restart", "freeze"])
            if how == "kill":
                s.kill()
                s.start()
            elif how == "restart":
                s.restart()
            else:
                s.freeze()
                time.sleep(R.choice([0.5, 4]))
                s.thaw()
        t.finish()
    f = t.firsts()
    print(
        sys.argv,
        t.published,
        "lost",
        t.published - sum(map(len, f.values())),
        "ordered",
        all(sorted(c) == c for c in f.values()),
    )
    b.close()
