"""What every adapter of the `Broker` port must do."""

# A suite is made of assertions.

from __future__ import annotations

from atomos.core.service.messaging import Broker
from atomos.core.service.ports import Outside

from .broker_outages import BrokerOutageSuite, BrokerServer
from .broker_publishing import BrokerPublishing
from .broker_reading import BrokerReading
from .broker_steps import Connect, connecting, numbers, publish, reading, subscribe

__all__ = ["BrokerOutageSuite", "BrokerServer", "BrokerSuite", "Connect", "connecting"]


class BrokerSuite(BrokerPublishing, BrokerReading):
    """Subclass it as `class TestKafkaBroker(BrokerSuite)` and give the fixtures that it asks for.

    `connect` makes brokers on one server, and the fixture closes them after the test. `broker` is the first of them.
    `too_large` is the size in bytes of a message that the broker does not take; one of a megabyte it takes.
    `prefetch` is how many messages a consumer holds unacknowledged at the most; None: as many as are asked for.
    `takeover` is within how many seconds a subscription whose reader has vanished is given to another one.
    """

    def test_it_is_known_as_something_outside(self, broker: Broker) -> None:
        """The boot check refuses it where a repeat would publish twice."""
        assert isinstance(broker, Broker)
        assert isinstance(broker, Outside)

    def test_one_that_answers_is_well(self, broker: Broker) -> None:
        """A check finds it, twice too."""
        broker.check()
        broker.check()

    def test_a_broker_may_be_closed_twice(self, broker: Broker, topic: str) -> None:
        """Its consumers were closed before."""
        with reading(broker, subscribe(broker, topic)):
            publish(broker, topic, numbers(1))
        broker.close()
        broker.close()
