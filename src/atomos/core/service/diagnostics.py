"""The one registry of diagnostics: what can be wrong, why, and what to do; errors and documents share it."""

from __future__ import annotations

from typing import NamedTuple

from ..domain.errors import AtomosError


class Diagnostic(NamedTuple):
    """One kind of mistake: a stable code, a title, what causes it, and the remedy."""

    code: str
    title: str
    cause: str
    remedy: str


REGISTRY: dict[str, Diagnostic] = {
    entry[0]: Diagnostic(*entry)
    for entry in (
        # Wiring: found before the first request, all in one report.
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
        # Handling a message.
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
            "The aggregate recorded an event that `records` does not list for this command.",
            "Add it to `records`, so that the flow is known, or do not record it.",
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
        # Running it.
        (
            "ATM050",
            "Settings that cannot be used",
            "A key is unknown, or a value has the wrong type or range.",
            "Correct what the report names; `atomos config` shows every value and where it came from.",
        ),
        (
            "ATM051",
            "No application",
            "The name of the application does not lead to a container.",
            "Give `--app package.module:Container`, ATOMOS_APP, or [tool.atomos] app in pyproject.toml.",
        ),
        (
            "ATM052",
            "A database of another version",
            "Migrations are missing, or the database is newer than this build.",
            "Run `atomos db upgrade`, or deploy the newer build.",
        ),
        (
            "ATM053",
            "Input that cannot be used",
            "A file, an argument or a payload given to the command line is not what it should be.",
            "Correct what the message names.",
        ),
    )
}
"""Every diagnostic, by code."""


class Finding(NamedTuple):
    """One mistake that was found: its diagnostic's code, where it is (`path:line name`), what is wrong."""

    code: str
    place: str
    detail: str

    def __str__(self) -> str:
        entry = REGISTRY[self.code]
        return f"{self.code} {entry.title}\n  {self.place}: {self.detail}\n  {entry.remedy}"


class WiringError(AtomosError):
    """The application is wired wrongly. `findings` holds all mistakes; nothing was started."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = sorted(findings)
        count = f"{len(findings)} mistake{'s' if len(findings) > 1 else ''} in the wiring"
        super().__init__("\n\n".join([f"{count}; nothing was started.", *map(str, self.findings)]))
        self.code = self.findings[0].code


class Diagnosed(AtomosError):
    """An error of one diagnostic: says what was wrong, and adds the remedy of the registry."""

    def __init__(self, detail: str | None = None) -> None:
        entry = REGISTRY[self.code]
        super().__init__(f"{self.code}: {detail or entry.cause} {entry.remedy}")
