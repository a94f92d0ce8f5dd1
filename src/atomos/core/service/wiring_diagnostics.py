"""What can be wrong with the wiring: found before the first request, all in one report."""

from __future__ import annotations

WIRING = (
    (
        "ATM080",
        "A topic's name cannot be used",
        "Every broker has to take it: small letters and digits, with single dots, hyphens or underscores in between, "
        "120 characters at most.",
        "Rename it, such as `allocation.line-allocated`; who reads it, or publishes to it, has to say the same.",
    ),
    (
        "ATM081",
        "A subscription brings no event",
        "`subscribes` maps a topic to the event, or a list of the events, that it brings.",
        "Name classes of events with wire names, each once, or give `translated(function)`, where the function gets "
        "one argument, `message: ForeignMessage`, and its annotation says which event it returns.",
    ),
    (
        "ATM001",
        "A command has no handler",
        "An event triggers it, or a table mentions it, and no `commands` table says who obeys.",
        "Add `commands={TheCommand: its_handler}`, or take the command out of the tables.",
    ),
    (
        "ATM002",
        "A message has two handlers",
        "Two tables map the same command or query; exactly one handler may.",
        "Keep one. If both things have to happen, record an event and let two hear it.",
    ),
    (
        "ATM003",
        "Nobody hears an event",
        "An entrypoint or a command says it, and no trigger, projection or reaction listens.",
        "Route it, or add it to `ignored` with one sentence why.",
    ),
    (
        "ATM004",
        "A handler's first parameter is not its message",
        "The bus hands the message over as the first argument; its annotation names another, or none.",
        "Annotate the first parameter with the message that the table maps to this handler.",
    ),
    (
        "ATM005",
        "A handler does not return its message's answer",
        "The message declares an answer, such as `Command[Answer]`, and the return annotation differs.",
        "Make the return annotation and the declared answer agree.",
    ),
    (
        "ATM006",
        "A handler is asynchronous or a generator",
        "The bus calls handlers in the caller's thread and transaction; this one would only be made.",
        "Write a plain function.",
    ),
    (
        "ATM007",
        "An annotation cannot be read",
        "Injection reads annotations at start; a name under `if TYPE_CHECKING` does not exist then.",
        "Import the name at the top of the module.",
    ),
    (
        "ATM008",
        "A parameter is not offered",
        "The handler's context has no provider of that name.",
        "Rename the parameter after a provider, or add the provider to the context's container.",
    ),
    (
        "ATM009",
        "A parameter's type does not fit",
        "The provider of that name makes something else than the annotation says, or does not say what.",
        "Correct the annotation, the name or the provider; annotate a factory function's return type.",
    ),
    (
        "ATM010",
        "An effect outside where a repeat would repeat it",
        "Commands, triggers, projections and queries may run again; no rollback takes back what it did.",
        "Record an event, and use the port in a reaction to it.",
    ),
    (
        "ATM011",
        "A trigger class needs a field that the event lacks",
        "A command class as a trigger is filled from the event's fields of the same names.",
        "Add the field to the event, give it a default in the command, or write a trigger function.",
    ),
    (
        "ATM012",
        "An event's answer is not given by exactly one of its commands",
        "The event says `Event[Answer]`; none, or several, of the commands it triggers give that answer.",
        "Let exactly one triggered command declare the same answer.",
    ),
    (
        "ATM013",
        "A unit of work outside a command",
        "Only a command changes state; nothing else gets a unit of work.",
        "Ask for a view or the session instead, or trigger a command.",
    ),
    (
        "ATM014",
        "A cycle that nobody explained",
        "An event triggers a command that can record that event again.",
        "Break it, or add the pair to `cycles` with one sentence why it ends.",
    ),
    (
        "ATM015",
        "Two messages with one wire name",
        "Stored messages are found by name; two classes declare the same one.",
        "Give one of them another name.",
    ),
    (
        "ATM016",
        "A provider cannot make what it should",
        "The arguments that the container gives do not fit the parameters of the class or function.",
        "Correct the provider's arguments.",
    ),
    (
        "ATM017",
        "A container needs something that it is not given",
        "A context takes it from the core container, or from another, which does not offer it.",
        "Correct the name, or offer it.",
    ),
    (
        "ATM018",
        "A singleton that is not thread-safe",
        "Two threads that ask at the same instant get one each.",
        "Use `ThreadSafeSingleton`, or a factory.",
    ),
    (
        "ATM019",
        "Two recipients with one name",
        "Deliveries are addressed by name; two functions of one context claim the same one.",
        "Rename one, or give it a name of its own with `named(...)`.",
    ),
    (
        "ATM020",
        "An entry explains what does not exist",
        "`ignored`, `cycles`, `records` or `requires` mention something that no route has.",
        "Remove the entry, or correct its name.",
    ),
    (
        "ATM021",
        "A trigger does not say which commands it returns",
        "The flow has to be known before the first request; the return annotation names no command.",
        "Annotate it: `-> Allocate`, `-> Allocate | None`, `-> list[Allocate]`.",
    ),
    (
        "ATM022",
        "A handler's signature cannot be filled",
        "The message is passed by position, all else by name; this parameter cannot be, or says no type.",
        "Write plain parameters with annotations.",
    ),
    (
        "ATM023",
        "A view does more than emit or ask",
        "An API only triggers events: a view takes an event or a query, and what the path names.",
        "Take the event, and let the routes decide what it triggers.",
    ),
    (
        "ATM024",
        "A view and its message disagree",
        "The path, the message's fields, the answer and the view's annotations have to fit together.",
        "Make them agree; the report says which part does not.",
    ),
    (
        "ATM025",
        "One thing said twice",
        "Two tables say something about the same message, or one event has the same listener twice.",
        "Keep one of them.",
    ),
    (
        "ATM026",
        "A trigger asks for more than the event",
        "A trigger is a pure decision: it gets the event, and nothing from the container.",
        "Take the parameter out; if something has to be looked up first, let a command do it.",
    ),
    (
        "ATM027",
        "A setting that nobody gives",
        "A provider needs a key of the configuration that is not there, or has no use for its value.",
        "Add the key to the section's dataclass, or correct its name in the container.",
    ),
    (
        "ATM028",
        "A projection that would never run, or in the wrong transaction",
        "Projections run in the transaction of the command that records the event, in the same context.",
        "List the event in `records` of a command of this context, or make the function a reaction.",
    ),
    (
        "ATM029",
        "An entry of the wrong kind",
        "A table maps events, commands or queries to functions; this entry holds something else.",
        "Put the right message, or a plain function, into the table.",
    ),
    (
        "ATM060",
        "A listener does not say what it returns",
        "A reaction returns events or None, a projection None; the annotation says nothing, or another.",
        "Annotate it: `-> None`, `-> Reminded`, `-> tuple[Reminded, ...]`.",
    ),
    (
        "ATM061",
        "An ordering key that the event lacks",
        "`by(...)` names a field of the event that order is kept by.",
        "Correct the field's name, or leave `by` out to keep the order of the aggregate.",
    ),
    (
        "ATM062",
        "A schedule that cannot tick",
        "Its cron text, its time zone or its catch-up policy is not what it should be.",
        'Write `every("0 2 * * *", ReportDue(), zone="Europe/Berlin", catch_up="last")`.',
    ),
    (
        "ATM063",
        "A schedule that cannot emit",
        "It emits one event, or what a function of the tick returns, whose annotation names one event.",
        "Give an event, or a function such as `def report_due(tick: datetime) -> ReportDue`.",
    ),
    (
        "ATM064",
        "Upcasters that do not lead to today's version",
        "Each turns a version of a message that a table has into the next one, up to today's, without a gap.",
        "Correct the name or the version, or add the upcaster that is missing.",
    ),
    (
        "ATM065",
        "A policy that cannot be kept",
        "A route says of a recipient how it is retried or limited, with a value that makes no sense, or says it of "
        "something that gets no deliveries.",
        "Correct the value that is named, or leave the policy out.",
    ),
)
"""Code, title, cause and remedy of each."""
