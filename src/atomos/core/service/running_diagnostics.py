"""What can go wrong with settings, the database, the command line and the stored log."""

from __future__ import annotations

RUNNING = (
    (
        "ATM050",
        "Settings that cannot be used",
        "A key is unknown, or a value has the wrong type or range.",
        "Correct what the report names; `atomos config` shows every value and where it came from.",
    ),
    (
        "ATM058",
        "Not as it has to be in production",
        "The profile `production` starts nothing that is open to everyone, or that tells strangers too much.",
        "Do what each reason says.",
    ),
    (
        "ATM059",
        "An extra that is not installed",
        "Something that is configured needs libraries that are not there.",
        "Install the extra, or take the setting back.",
    ),
    (
        "ATM051",
        "No application",
        "None is named, or its name does not lead to a container that can be imported and composed.",
        "Mend what the message names, or give another one: `--app package.module:Container`, ATOMOS_APP, or "
        "[tool.atomos] app in the pyproject.toml of the current folder.",
    ),
    (
        "ATM052",
        "A database of another version",
        "Migrations are missing, or the database is newer than this build.",
        "Run `atomos db upgrade`, or deploy the newer build.",
    ),
    (
        "ATM079",
        "A table that no migration makes",
        "Code has a table or a column that the database lacks, and no migration is left that would make it.",
        'Write the migration: `atomos db revision -m "what it does" CONTEXT`; then read and correct it.',
    ),
    (
        "ATM053",
        "Input that cannot be used",
        "A file, an argument or a payload given to the command line is not what it should be.",
        "Correct what the message names; `atomos COMMAND --help` says what is expected, with examples.",
    ),
    (
        "ATM055",
        "A change that the log does not take",
        "What it names is not there, is held by a worker, or is in a state in which this cannot be done.",
        "`atomos why`, `atomos deliveries list` and `atomos recipients list` say how it stands.",
    ),
    (
        "ATM056",
        "What is stored does not fit this build",
        "Deliveries wait for a recipient that it does not have, or their messages have a form that it cannot read.",
        "Let a build that knows them finish, add the route or upcaster again, or discard them; "
        "`atomos recipients forget` takes a name out of the register.",
    ),
    (
        "ATM057",
        "A failpoint was told to fail here",
        "A test armed it; a process that was not started by one has no failpoints.",
        "Unset ATOMOS_TEST_FAILPOINTS where nobody tests.",
    ),
)
"""Code, title, cause and remedy of each."""
