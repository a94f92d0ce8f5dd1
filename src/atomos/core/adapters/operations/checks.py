"""The audit's checks: for each kind of damage a statement that finds it, and words for a row that has it."""

# ruff: noqa: S608 - statements are put together from constants of these modules, values are always bound

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """One kind of damage: its stable name, what it means, what one row says, and the statement that finds rows.

    A statement gives `total`, how many there are, with each of the first `:most` rows.
    """

    name: str
    said: str
    row: str
    statement: str


_DELIVERY = "count(*) over () total, cast(d.message_id as text) message, d.recipient, d.status"

# A conversation is removed as a whole. What begins one and has a cause was caused in another, such as a
# schedule's, which may have been removed before. What came from a topic was caused in another service.
_CAUSED_INSIDE = "m.causation_id is not null and m.correlation_id <> m.id and m.kind <> 'received'"

# Which of a lease's rows are still ready is looked up by the index of ready ones; all others are few.
_IN_LEASES = """
leased as (select l.id lease, l.worker, l.recipient, s.value seq from atomos_lease l, {seqs}),
held as (select l.id lease, l.recipient, k.value ordering_key from atomos_lease l, {keys})
"""

CHECKS = (
    Check(
        "deliveries-of-a-message",
        "A message has more or fewer deliveries than were asked for when it was recorded.",
        "message {message} ({name}) asked for {asked}, and has {found}",
        """
        select count(*) over () total, cast(m.id as text) message, m.name, m.deliveries asked, coalesce(d.n, 0) found
        from atomos_message m
        left join (select message_id, count(*) n from atomos_delivery group by message_id) d on d.message_id = m.id
        where m.deliveries <> coalesce(d.n, 0) limit :most
        """,
    ),
    Check(
        "delivery-without-message",
        "A delivery's message is not in the log.",
        "message {message} for {recipient}, {status}",
        f"""
        select {_DELIVERY} from atomos_delivery d
        where not exists (select 1 from atomos_message m where m.id = d.message_id) limit :most
        """,
    ),
    Check(
        "unknown-status",
        "A delivery is in no state that there is; nothing would ever claim it.",
        "message {message} for {recipient}, {status!r}",
        f"""
        select {_DELIVERY} from atomos_delivery d where d.status not in
          ('scheduled', 'ready', 'retrying', 'parked', 'dead', 'done', 'discarded') limit :most
        """,
    ),
    Check(
        "no-time",
        "A delivery waits for a time that it does not have; it would never be due.",
        "message {message} for {recipient}, {status}",
        f"""
        select {_DELIVERY} from atomos_delivery d
        where d.status in ('scheduled', 'retrying') and d.until is null limit :most
        """,
    ),
    Check(
        "attempts",
        "A delivery has fewer than no attempts or lost leases.",
        "message {message} for {recipient}, {status}, {attempts} attempts, {losses} lost leases",
        f"""
        select {_DELIVERY}, d.attempts, d.losses from atomos_delivery d
        where d.attempts < 0 or d.losses < 0 limit :most
        """,
    ),
    Check(
        "completed",
        "A delivery is done and does not say when, or says when and is not over.",
        "message {message} for {recipient}, {status}",
        f"""
        select {_DELIVERY} from atomos_delivery d
        where d.status = 'done' and d.completed_at is null
           or d.status in ('ready', 'retrying') and d.completed_at is not null limit :most
        """,
    ),
    Check(
        "place",
        "Two ready deliveries of one recipient have the same place; a lease could not tell them apart.",
        "{recipient} has place {seq} {n} times",
        """
        select count(*) over () total, recipient, seq, count(*) n from atomos_delivery where status = 'ready'
        group by recipient, seq having count(*) > 1 limit :most
        """,
    ),
    Check(
        "command-without-effect",
        "A command has no answer, and no delivery that would still lead to one, or that says why there is none.",
        "command {message} ({name}) of {correlation}",
        """
        select count(*) over () total, cast(m.id as text) message, m.name,
               cast(m.correlation_id as text) correlation
        from atomos_message m where m.kind = 'command' and m.answer is null and not exists (
          select 1 from atomos_delivery d where d.message_id = m.id and d.status <> 'done') limit :most
        """,
    ),
    Check(
        "message-without-cause",
        "A message was caused by one that is not in the log, and both are of one conversation.",
        "message {message} ({name}) of {correlation}, caused by {cause}",
        f"""
        select count(*) over () total, cast(m.id as text) message, m.name,
               cast(m.correlation_id as text) correlation, cast(m.causation_id as text) cause
        from atomos_message m where {_CAUSED_INSIDE}
          and not exists (select 1 from atomos_message c where c.id = m.causation_id) limit :most
        """,
    ),
    Check(
        "decision-missing",
        "A trigger's delivery is done, and the command that it decided is not in the log.",
        "message {message} for {recipient}",
        f"""
        select {_DELIVERY} from atomos_delivery d join atomos_message m on m.id = d.message_id
        where d.recipient in :deciding and d.status = 'done' and not exists (
          select 1 from atomos_message c
          where c.correlation_id = m.correlation_id and c.causation_id = m.id and c.kind = 'command')
        limit :most
        """,
    ),
    Check(
        "answer-without-command",
        "An event was answered, and the command that gave the answer is not in the log.",
        "message {message} ({name}) of {correlation}",
        """
        select count(*) over () total, cast(m.id as text) message, m.name,
               cast(m.correlation_id as text) correlation
        from atomos_message m
        where m.kind = 'event' and m.answer is not null
          and replace(cast(m.answer as text), ' ', '') not like '%"value"\\:null%'
          and not exists (
            select 1 from atomos_message c
            where c.correlation_id = m.correlation_id and c.causation_id = m.id and c.kind = 'command')
        limit :most
        """,
    ),
    Check(
        "lease-without-worker",
        "A lease's worker is not registered, or has not been seen for several times the time of a lease.",
        "lease {lease} of {worker}: {size} of {recipient}",
        """
        select count(*) over () total, l.id lease, l.worker, l.recipient, {size} size from atomos_lease l
        where not exists (select 1 from atomos_worker w where w.id = l.worker and w.seen >= :seen) limit :most
        """,
    ),
    Check(
        "lease-of-no-row",
        "A lease names a delivery that is not there, or that is neither ready nor done.",
        "lease {lease} of {worker}: place {seq} of {recipient}, {status}",
        f"""
        with {_IN_LEASES},
        others as (
          select * from leased x where not exists (
            select 1 from atomos_delivery d
            where d.recipient = x.recipient and d.seq = x.seq and d.status = 'ready'))
        select count(*) over () total, o.lease, o.worker, o.recipient, o.seq, coalesce(d.status, 'missing') status
        from others o left join atomos_delivery d on d.seq = o.seq and d.recipient = o.recipient
        where d.status is null or not (
          d.status = 'done' or d.status = 'scheduled' and d.recipient like 'schedule:%') limit :most
        """,
    ),
    Check(
        "leased-twice",
        "Two leases name the same delivery.",
        "place {seq} of {recipient} is in {n} leases",
        f"""
        with {_IN_LEASES}
        select count(*) over () total, recipient, seq, count(*) n from leased
        group by recipient, seq having count(*) > 1 limit :most
        """,
    ),
    Check(
        "key-leased-twice",
        "Two leases of one recipient have the same key.",
        "key {ordering_key} of {recipient} is in {n} leases",
        f"""
        with {_IN_LEASES}
        select count(*) over () total, recipient, ordering_key, count(*) n from held
        group by recipient, ordering_key having count(*) > 1 limit :most
        """,
    ),
    Check(
        "lease-of-no-key",
        "A lease holds a key that none of its deliveries has.",
        "lease {lease}: key {ordering_key} of {recipient}",
        f"""
        with {_IN_LEASES},
        others as (
          select * from held h where not exists (
            select 1 from leased x join atomos_delivery d
              on d.recipient = x.recipient and d.seq = x.seq and d.status = 'ready'
            where x.lease = h.lease and d.ordering_key = h.ordering_key))
        select count(*) over () total, o.lease, o.recipient, o.ordering_key from others o where not exists (
          select 1 from leased x join atomos_delivery d on d.recipient = x.recipient and d.seq = x.seq
          where x.lease = o.lease and d.ordering_key = o.ordering_key) limit :most
        """,
    ),
    Check(
        "key-not-leased",
        "A lease has a delivery whose key it does not hold; the next of the key could overtake it.",
        "lease {lease}: place {seq} of {recipient}, key {ordering_key}",
        f"""
        with {_IN_LEASES}
        select count(*) over () total, x.lease, x.recipient, x.seq, d.ordering_key
        from leased x join atomos_delivery d
          on d.recipient = x.recipient and d.seq = x.seq and d.status = 'ready'
        where d.ordering_key is not null and not exists (
          select 1 from held h where h.lease = x.lease and h.ordering_key = d.ordering_key) limit :most
        """,
    ),
    Check(
        "register",
        "A recipient may have no delivery at once, so that nothing of it is ever claimed.",
        "{recipient}: {at_once} at once",
        """
        select count(*) over () total, name recipient, at_once from atomos_recipient
        where at_once < 1 limit :most
        """,
    ),
)
"""Every check, in the order of the report."""
