"""What can go wrong while a message is handled."""

from __future__ import annotations

HANDLING = (
    (
        "ATM030",
        "A command handler returned without a commit",
        "Each handling of a command commits exactly once, also when nothing changed.",
        "End the handler with `return uow.commit(answer)` inside `with uow:`.",
    ),
    (
        "ATM031",
        "A handler returned something else than it committed",
        "The committed answer is stored for repeats, and the change with it; the caller must not be told another.",
        "End the handler with `return uow.commit(answer)`.",
    ),
    (
        "ATM032",
        "A second commit in one handling",
        "One command is one atomic change.",
        "Commit once; a second change is a second command.",
    ),
    (
        "ATM033",
        "An event that the command may not record",
        "The aggregate recorded it, or the handler sent it later; `records` does not list it for this command.",
        "Add it to `records`, so that the flow is known, or leave it out.",
    ),
    (
        "ATM034",
        "The bus was used from inside a handling",
        "A second transaction would wait for the first.",
        "A command records events, a reaction returns them, a query answers; none of them calls the bus.",
    ),
    (
        "ATM035",
        "A write outside a command",
        "Everything but a command and its projections has a read-only database.",
        "Trigger a command that makes the change.",
    ),
    (
        "ATM036",
        "A session outside a handling",
        "`session` is the session of the message being handled; none is.",
        "Emit or ask through the bus, or open a session of the database yourself.",
    ),
    (
        "ATM037",
        "A message without a route",
        "No table of this application mentions the message.",
        "Add it to the routes, or correct the name.",
    ),
    (
        "ATM038",
        "One id, two contents",
        "A message with this id, or a request with this key, was carried out with another content.",
        "Repeat it unchanged, or use a new id or key.",
    ),
    (
        "ATM039",
        "The same message is still being handled",
        "A repeat waited for the first one and gave up.",
        "Send it again a little later.",
    ),
    (
        "ATM040",
        "A stored message cannot be read",
        "Its name or version is unknown to this build, or its content breaks a constraint.",
        "Deploy the build that knows it, or add an upcaster.",
    ),
    (
        "ATM041",
        "A lost lease",
        "The worker was away for longer than its lease; another may have the delivery.",
        "Nothing: what it did in the database was rolled back, and the delivery goes on elsewhere.",
    ),
    (
        "ATM042",
        "Not permitted",
        "The principal lacks the permission that the message requires.",
        "Grant the scope, or do not send the message.",
    ),
    (
        "ATM043",
        "Others were always first",
        "The command met a conflict each time that it was tried.",
        "Send it again; if it happens often, look for an aggregate that is too large.",
    ),
    (
        "ATM044",
        "A unit of work that is not open",
        "It was used outside `with uow:`, after its end, twice, or outside the handling of a command.",
        "Use it inside one `with uow:` block of a command handler.",
    ),
    (
        "ATM045",
        "No command gave the answer",
        "The event promises an answer, and its triggers decided for no command that gives it.",
        "Let the trigger always return that command, or declare the event without an answer.",
    ),
    (
        "ATM046",
        "A read model touched another table",
        "A projection may write the tables of its views only.",
        "Write that table in a command, or declare it with the views.",
    ),
    (
        "ATM047",
        "A recipient that this build does not have",
        "A delivery is addressed to a name that no route declares.",
        "Keep the old name with `named(...)`, or discard the delivery.",
    ),
    (
        "ATM048",
        "A handler made an invalid value",
        "A message or an answer that the handler made breaks the constraints in its annotations.",
        "Correct the handler; its own message was valid.",
    ),
    (
        "ATM049",
        "An event that is only recorded",
        "Projections show what a command changed; this event came from outside, and nothing was changed.",
        "Emit the event that triggers the command; the command records this one.",
    ),
    (
        "ATM070",
        "A timer without a key",
        "A timer is known by its name and a key; in a unit of work the key is that of its one aggregate.",
        "Give `key=`, or take in the one aggregate before: `uow.send_later(..., name=..., key=order.identity)`.",
    ),
    (
        "ATM072",
        "A stored answer cannot be read",
        "A repeat is told the stored answer, which another build gave; its shape has changed since.",
        "Add fields to answers with defaults only; the message itself was carried out, and is not again.",
    ),
    (
        "ATM076",
        "A repeat of what a newer build carried out",
        "The message with this id is stored in a version that this build does not know.",
        "Send it again a little later: a process of the newer build tells the answer.",
    ),
    (
        "ATM077",
        "Another version than was expected",
        "The sender said which version it means to change (`If-Match`), and that is not what is there.",
        "Read it again, decide again, and send the change with the version that was read.",
    ),
    (
        "ATM078",
        "An event with this id was sent to be handled later",
        "A repeat of `emit` wants an answer at once, and the first was sent with `send_later`.",
        "Follow it: `bus.follow(id)`, or over HTTP the `Location` of the answer.",
    ),
    (
        "ATM073",
        "A handler took longer than its limit",
        "It ran past its time limit, so its delivery has failed; what it does to our database from now on does "
        "not count.",
        "Let it do less, give its calls time limits of their own, or raise the limit with `within(...)`.",
    ),
)
"""Code, title, cause and remedy of each."""
