"""RabbitMQ as a broker: topics are routed to durable quorum queues, one for each subscription."""

from .broker import EXTRA, RabbitBroker, lacks_libraries

__all__ = ["EXTRA", "RabbitBroker", "lacks_libraries"]
