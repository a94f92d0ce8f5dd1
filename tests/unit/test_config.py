"""Settings: what each layer may say, what is refused and how, and that no secret is ever shown."""

from __future__ import annotations

import os
import pickle
import re
import tomllib
from dataclasses import FrozenInstanceError, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomos.core.domain import AtLeast, AtomosError, Pattern, Sensitive
from atomos.settings import (
    DatabaseSettings,
    DeliverySettings,
    HttpSettings,
    NotificationsSettings,
    Settings,
    SettingsError,
    explain,
    load,
)

CONFIG = Path(__file__).parents[2] / "config"
NOWHERE = Path("no-such-folder")
MARK = "S3CR3T"


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierSettings:
    url: str = "http://carrier.example"
    token: Sensitive[str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationSettings:
    limit: Annotated[int, AtLeast(1)] = 100
    sizes: tuple[int, ...] = ()
    patience: timedelta = timedelta(seconds=5)
    carrier: CarrierSettings = field(default_factory=CarrierSettings)
    slow: CarrierSettings = field(default_factory=lambda: CarrierSettings(url="http://slow.example"))

    def __post_init__(self) -> None:
        if self.sizes and max(self.sizes) > self.limit:
            raise ValueError("a size is above limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarehouseSettings:
    code: Annotated[str, Pattern("[A-Z]{3}")]
    note: str = ""
    note_file: str = ""
    label: str = field(init=False, default="derived")


def loaded(environment: dict[str, str] | None = None, folder: Path = NOWHERE, **contexts: type) -> Settings:
    return load(contexts=contexts, folder=folder, environment=environment or {})


def refused(
    environment: dict[str, str] | None = None, folder: Path = NOWHERE, **contexts: type
) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        loaded(environment, folder, **contexts)
    return caught.value


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


def shown(settings: Settings) -> dict[str, str]:
    return {row.key: row.shown for row in explain(settings)}


def sources(settings: Settings) -> dict[str, str]:
    return {row.key: row.source for row in explain(settings)}


def variable(key: str) -> str:
    return "ATOMOS_" + key.replace(".", "__").upper()


KEYS = [row.key for row in explain(Settings()) if row.key != "profile"]


class TestLayers:
    def test_without_files_and_variables_the_code_decides(self) -> None:
        assert loaded() == Settings()
        assert set(sources(loaded()).values()) == {"code"}

    def test_the_embedded_default_needs_nothing_else(self) -> None:
        settings = loaded()
        assert settings.profile == "development"
        assert settings.database.url == "sqlite:///var/atomos.db"
        assert settings.embedded

    @given(st.lists(st.booleans(), min_size=4, max_size=4))
    def test_the_last_layer_that_says_something_counts(
        self, tmp_path_factory: pytest.TempPathFactory, says: list[bool]
    ) -> None:
        folder = tmp_path_factory.mktemp("config")
        secret = folder / "port"
        secret.write_text("4\n")
        texts = [f"http.port = {n}\n" if said else "" for n, said in enumerate(says[:2], start=1)]
        written(folder, default=texts[0], production=texts[1])
        environment = {"ATOMOS_PROFILE": "production"}
        environment |= {"ATOMOS_HTTP__PORT": "3"} if says[2] else {}
        environment |= {"ATOMOS_HTTP__PORT_FILE": str(secret)} if says[3] else {}
        wanted = max((n for n, said in enumerate(says, start=1) if said), default=8000)
        assert loaded(environment, folder).http.port == wanted

    def test_every_value_knows_its_source(self, tmp_path: Path) -> None:
        folder = written(tmp_path, default="[http]\nport = 1\nthreads = 2", development="http.port = 3")
        (tmp_path / "user").write_text("shop")
        (tmp_path / "password").write_text("x")
        told = sources(
            loaded(
                {
                    "ATOMOS_LOG__LEVEL": "error",
                    "ATOMOS_NOTIFICATIONS__USER_FILE": str(tmp_path / "user"),
                    "ATOMOS_NOTIFICATIONS__PASSWORD_FILE": str(tmp_path / "password"),
                    "ATOMOS_PROFILE": "development",
                },
                folder,
            )
        )
        assert told["http.threads"] == f"{folder.as_posix()}/default.toml"
        assert told["http.port"] == f"{folder.as_posix()}/development.toml"
        assert told["log.level"] == "ATOMOS_LOG__LEVEL"
        assert told["notifications.user"] == f"ATOMOS_NOTIFICATIONS__USER_FILE={tmp_path}/user"
        assert told["profile"] == "ATOMOS_PROFILE"
        assert told["http.host"] == "code"

    def test_the_environment_may_name_the_folder(self, tmp_path: Path) -> None:
        written(tmp_path, default="http.port = 9")
        assert load(environment={"ATOMOS_CONFIG": str(tmp_path)}).http.port == 9

    def test_the_argument_counts_more_than_the_environment(self, tmp_path: Path) -> None:
        written(tmp_path, default="http.port = 9")
        assert load(folder=tmp_path, environment={"ATOMOS_CONFIG": "no-such-folder"}).http.port == 9

    def test_the_environment_of_the_process_and_the_folder_config_are_the_default(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "config").mkdir()
        written(tmp_path / "config", default="http.port = 9")
        monkeypatch.chdir(tmp_path)
        for name in [name for name in os.environ if name.startswith("ATOMOS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("ATOMOS_HTTP__THREADS", "7")
        settings = load()
        assert (settings.http.port, settings.http.threads) == (9, 7)

    def test_settings_do_not_change(self) -> None:
        with pytest.raises(FrozenInstanceError):
            loaded().http.port = 1  # type: ignore[misc]


class TestEnvironment:
    @pytest.mark.parametrize(
        ("key", "text", "value"),
        [
            ("http.port", "8", 8),
            ("delivery.embedded", "true", True),
            ("delivery.embedded", "False", False),
            ("delivery.embedded", "0", False),
            ("delivery.embedded", "null", None),
            ("database.reader_url", "null", None),
            ("delivery.poll", "3", 3.0),
            ("notifications.tls", "none", "none"),
            ("http.host", "8", "8"),
        ],
    )
    def test_text_becomes_what_the_setting_is(self, key: str, text: str, value: object) -> None:
        section, name = key.split(".")
        found = getattr(getattr(loaded({variable(key): text}), section), name)
        assert (found, type(found)) == (value, type(value))

    def test_a_password_may_be_the_word_null(self) -> None:
        signed = {"ATOMOS_NOTIFICATIONS__USER": "shop", "ATOMOS_NOTIFICATIONS__PASSWORD": "null"}
        assert loaded(signed).notifications.password == "null"

    def test_lists_and_tables_are_json(self) -> None:
        settings = loaded({"ATOMOS_ALLOCATION__SIZES": "[1, 2]"}, allocation=AllocationSettings)
        assert settings.contexts["allocation"] == AllocationSettings(sizes=(1, 2))

    @pytest.mark.parametrize("text", ["[1, 2", "1,2", '["x"]', "{}"])
    def test_what_is_no_such_list_is_refused(self, text: str) -> None:
        error = refused({"ATOMOS_ALLOCATION__SIZES": text}, allocation=AllocationSettings)
        assert [each.key for each in error.mistakes] == ["allocation.sizes"]

    @pytest.mark.parametrize("key", KEYS)
    def test_an_empty_variable_is_a_mistake(self, key: str) -> None:
        (mistake,) = refused({variable(key): ""}).mistakes
        assert (mistake.key, mistake.source, mistake.expected) == (key, variable(key), "must not be empty")

    @pytest.mark.parametrize("key", ["http.port", "http.host", "database.echo"])
    def test_bytes_that_are_no_text_are_refused(self, key: str) -> None:
        (mistake,) = refused({variable(key): os.fsdecode(b"[\xff")}).mistakes
        assert (mistake.expected, mistake.given) == ("must be UTF-8", r"'[\udcff'")

    @pytest.mark.parametrize(
        "name", ["ATOMOS_APP", "ATOMOS_TEST_POSTGRES_URL", "ATOMOS_TEST_", "PATH", "ATOMOSX"]
    )
    def test_reserved_and_foreign_variables_are_left_alone(self, name: str) -> None:
        assert loaded({name: "x"}) == Settings()

    @given(st.from_regex(r"ATOMOS_[A-Z_]{1,20}", fullmatch=True))
    def test_no_unknown_variable_passes(self, name: str) -> None:
        known = {variable(key) for key in KEYS}
        if name not in known | {f"{each}_FILE" for each in known} and name not in (
            "ATOMOS_APP", "ATOMOS_PROFILE", "ATOMOS_CONFIG",
        ) and not name.startswith("ATOMOS_TEST_"):  # fmt: skip
            (mistake,) = refused({name: MARK}).mistakes
            assert (mistake.key, mistake.expected) == (name, "is not a setting")

    @pytest.mark.parametrize("key", KEYS)
    def test_a_missing_letter_or_underscore_is_recognised(self, key: str) -> None:
        name = variable(key)
        start = name.index("__")
        for index in range(start, len(name)):
            (mistake,) = refused({name[:index] + name[index + 1 :]: "x"}).mistakes
            assert mistake.nearest == name, mistake

    def test_the_case_of_a_variable_counts_and_is_pointed_out(self) -> None:
        (mistake,) = refused({"ATOMOS_http__port": "1"}).mistakes
        assert mistake.nearest == "ATOMOS_HTTP__PORT"


class TestSecretFiles:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_one_line_break_at_the_end_is_trimmed(self, tmp_path: Path, end: str) -> None:
        path = tmp_path / "url"
        path.write_bytes(f"postgresql://app:pä ss@db/shop{end}".encode())
        settings = loaded({"ATOMOS_DATABASE__URL_FILE": str(path)})
        assert settings.database.url == "postgresql://app:pä ss@db/shop"

    def test_nothing_else_is_trimmed(self, tmp_path: Path) -> None:
        path = tmp_path / "password"
        path.write_text(" x \n\n")
        environment = {"ATOMOS_NOTIFICATIONS__PASSWORD_FILE": str(path), "ATOMOS_NOTIFICATIONS__USER": "shop"}
        assert loaded(environment).notifications.password == " x \n"

    def test_a_number_may_come_from_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "port").write_text("81\n")
        assert loaded({"ATOMOS_HTTP__PORT_FILE": str(tmp_path / "port")}).http.port == 81

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        (mistake,) = refused({"ATOMOS_DATABASE__URL_FILE": f"{tmp_path}/x"}).mistakes
        assert mistake.key == "database.url"
        assert mistake.source == f"ATOMOS_DATABASE__URL_FILE={tmp_path}/x"
        assert "No such file" in mistake.expected

    def test_a_secret_in_the_variable_for_its_file_is_not_shown(self) -> None:
        error = refused({"ATOMOS_NOTIFICATIONS__PASSWORD_FILE": MARK})
        assert MARK not in f"{error}{error.mistakes}"
        assert "put the value itself into ATOMOS_NOTIFICATIONS__PASSWORD" in str(error)

    def test_a_folder_and_an_empty_file_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("\n")
        assert "Is a directory" in str(refused({"ATOMOS_LOG__LEVEL_FILE": str(tmp_path)}))
        assert "must not be empty" in str(refused({"ATOMOS_LOG__LEVEL_FILE": f"{tmp_path}/empty"}))

    def test_bytes_that_are_no_text_are_refused_with_their_line(self, tmp_path: Path) -> None:
        (tmp_path / "bad").write_bytes(b"a\nb\xff")
        assert "line 2 is not UTF-8" in str(refused({"ATOMOS_HTTP__HOST_FILE": f"{tmp_path}/bad"}))

    def test_a_setting_whose_own_name_ends_in_file_keeps_its_variable(self) -> None:
        environment = {"ATOMOS_WAREHOUSE__CODE": "ABC", "ATOMOS_WAREHOUSE__NOTE_FILE": "no/such/file"}
        settings = loaded(environment, warehouse=WarehouseSettings)
        assert settings.contexts["warehouse"] == WarehouseSettings(code="ABC", note_file="no/such/file")


class TestFiles:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ('http.port = "8"', "must be an integer"),
            ("http.port = 8.5", "must be an integer"),
            ("http.port = true", "must be an integer"),
            ("http.port = {}", "must be an integer"),
            ('delivery.poll = "1"', "must be a number"),
            ('delivery.embedded = "true"', "must be true or false"),
            ("database.echo = 1", "must be true or false"),
            ("database.url = []", "must be a text"),
            ('log.format = "xml"', "must be one of 'console', 'json'"),
            ("http = 8", "must be a table"),
            ('database = "sqlite://"', "must be a table"),
        ],
    )
    def test_types_count_in_toml(self, tmp_path: Path, line: str, expected: str) -> None:
        (mistake,) = refused(folder=written(tmp_path, default=line)).mistakes
        assert mistake.expected == expected
        assert mistake.source == f"{tmp_path.as_posix()}/default.toml"

    @pytest.mark.parametrize(
        "url",
        [
            "redis://host/shop",
            "redis://host:port/0",
            "rediss://host:70000/0",
            "nats://host:abc",
            "nats://one:4222,nats://two:x",
            "amqp://guest:gu#st@host/",
            "amqp://host:0/",
            "amqp://[::1/",
        ],
    )
    def test_a_broker_has_a_port_that_is_one(self, tmp_path: Path, url: str) -> None:
        (mistake,) = refused(folder=written(tmp_path, default=f'broker.url = "{url}"')).mistakes
        assert mistake.key == "broker.url"
        assert "a port from 1 to 65535" in mistake.expected and "%40" in mistake.expected
        assert "gu#st" not in str(mistake)

    @pytest.mark.parametrize(
        "url",
        [
            "redis://:p%40ss@host:6379/15?protocol=2",
            "redis://host",
            "rediss://[::1]:6380",
            "redis://:p,ss@host:6379/1",
            "nats://a:b@one:4222,nats://two",
            "tls://host/",
            "amqp://guest:guest@host:5672//",
            "amqps://host/%2Fshop?heartbeat=1",
        ],
    )
    def test_each_spelling_of_a_broker_is_one(self, tmp_path: Path, url: str) -> None:
        settings = loaded(folder=written(tmp_path, default=f'broker.url = "{url}"'))
        assert settings.broker.url == url

    def test_a_whole_number_of_seconds_is_a_number(self, tmp_path: Path) -> None:
        assert loaded(folder=written(tmp_path, default="delivery.poll = 1")).delivery.poll == 1.0

    @pytest.mark.parametrize(
        ("text", "near"),
        [
            ("[databse]\nurl = 1", "database"),
            ("[database]\nulr = 1", "database.url"),
            ("[database]\nURL = 1", "database.url"),
            ("database_url = 1", "database"),
            ("[zzz]\na = 1", None),
            ("[log]\nzzz = 1", None),
        ],
    )
    def test_an_unknown_name_is_told_its_nearest(self, tmp_path: Path, text: str, near: str | None) -> None:
        (mistake,) = refused(folder=written(tmp_path, default=text)).mistakes
        assert (mistake.expected, mistake.nearest) == ("is not a setting", near)

    def test_where_nothing_is_near_the_known_names_are_listed(self, tmp_path: Path) -> None:
        assert "Known here: format, level." in str(refused(folder=written(tmp_path, default="log.zzz = 1")))

    def test_a_dot_in_a_quoted_name_does_not_nest(self, tmp_path: Path) -> None:
        (mistake,) = refused(folder=written(tmp_path, default='"http.port" = 1')).mistakes
        assert mistake.expected == "is not a setting"

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"[http]\nport = \n", "line 2"),
            (b"[http]\nport = 1\nport = 2\n", "line 3"),
            (b"[http]\nhost = '\xff'\n", "line 2 is not UTF-8"),
        ],
    )
    def test_a_file_that_is_no_toml_is_refused_with_its_line(
        self, tmp_path: Path, content: bytes, said: str
    ) -> None:
        (tmp_path / "default.toml").write_bytes(content)
        (mistake,) = refused(folder=tmp_path).mistakes
        assert mistake.key == f"{tmp_path.as_posix()}/default.toml"
        assert said in str(mistake)

    def test_a_file_that_cannot_be_read_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "default.toml").mkdir()
        assert "cannot be read: Is a directory" in str(refused(folder=tmp_path))

    def test_a_file_that_is_a_broken_link_is_not_taken_for_missing(self, tmp_path: Path) -> None:
        (tmp_path / "default.toml").symlink_to(tmp_path / "nowhere")
        assert "cannot be read: No such file" in str(refused(folder=tmp_path))

    @pytest.mark.parametrize("profile", ["development", "test"])
    def test_on_a_developers_machine_no_file_is_needed(self, tmp_path: Path, profile: str) -> None:
        for folder in (tmp_path, tmp_path / "nowhere"):
            assert loaded({"ATOMOS_PROFILE": profile}, folder) == Settings(profile=profile)

    def test_another_profile_needs_the_default_file_too(self, tmp_path: Path) -> None:
        (mistake,) = refused({"ATOMOS_PROFILE": "staging"}, written(tmp_path, staging="")).mistakes
        assert mistake.key == f"{tmp_path.as_posix()}/default.toml"

    @pytest.mark.parametrize("profile", ["prod", "", "default", "../production", "PRODUCTION"])
    def test_an_unknown_profile_is_told_the_known_ones(self, profile: str) -> None:
        (mistake,) = refused({"ATOMOS_PROFILE": profile}, CONFIG).mistakes
        assert mistake.expected == "must be one of development, production, test"
        assert (mistake.key, mistake.given) == ("profile", repr(profile))

    def test_another_profile_needs_the_folder(self) -> None:
        (mistake,) = refused({"ATOMOS_PROFILE": "production"}).mistakes
        assert (mistake.key, "No such file" in mistake.expected) == ("no-such-folder", True)

    @pytest.mark.parametrize("name", ["no-such-folder", __file__])
    def test_a_folder_that_was_named_must_be_there(self, name: str) -> None:
        with pytest.raises(SettingsError, match="ATOMOS_CONFIG"):
            load(environment={"ATOMOS_CONFIG": name})

    def test_an_empty_name_of_the_folder_is_a_mistake(self) -> None:
        with pytest.raises(SettingsError, match="ATOMOS_CONFIG must not be empty"):
            load(environment={"ATOMOS_CONFIG": ""})


class TestLimits:
    @given(st.integers(min_value=-(2**70), max_value=2**70))
    def test_a_port_is_from_1_to_65535(self, port: int) -> None:
        if 1 <= port <= 65_535:
            assert loaded({"ATOMOS_HTTP__PORT": str(port)}).http.port == port
        else:
            assert refused({"ATOMOS_HTTP__PORT": str(port)}).mistakes[0].key == "http.port"

    @pytest.mark.parametrize("key", ["database.lock_timeout", "delivery.lease", "notifications.timeout"])
    @given(number=st.floats())
    def test_a_time_is_from_a_millisecond_to_a_day(self, key: str, number: float) -> None:
        section, name = key.split(".")
        if 0.001 <= number <= 86_400:
            assert getattr(getattr(loaded({variable(key): repr(number)}), section), name) == number
        else:
            assert [each.key for each in refused({variable(key): repr(number)}).mistakes] == [key]

    @pytest.mark.parametrize(
        "key",
        [
            "database.pool_size",
            "delivery.threads",
            "delivery.attempts",
            "http.processes",
            "http.max_body_bytes",
        ],
    )
    def test_a_count_is_at_least_one(self, key: str) -> None:
        assert refused({variable(key): "0"}).mistakes[0].expected == "must be at least 1"
        loaded({variable(key): "1"})

    @pytest.mark.parametrize(
        "url",
        [
            "sqlite:///var/x.db", "sqlite:////srv/x.db", "sqlite:///x",
            "postgresql://db/shop", "postgresql+psycopg://u:p@db:5433/shop?sslmode=require", "postgresql://",
        ],
    )  # fmt: skip
    def test_a_known_database_is_accepted(self, url: str) -> None:
        assert loaded({"ATOMOS_DATABASE__URL": url}).database.url == url

    @pytest.mark.parametrize(
        "url",
        [
            "var/x.db",
            "sqlite:",
            "sqlite://var/x.db",
            "sqlite://",
            "sqlite:///",
            "sqlite:///:memory:",
            "sqlite:///:memory:?cache=shared",
            "sqlite:///?timeout=5",
            "sqlite:///file:x?mode=memory&uri=true",
            "postgres://db",
            "mysql://db",
            "postgresql+asyncpg://db",
            " ",
        ],
    )
    def test_another_database_is_refused(self, url: str) -> None:
        (mistake,) = refused({"ATOMOS_DATABASE__URL": url}).mistakes
        assert mistake.expected == (
            "must be sqlite:///FILE (not :memory:, which no other connection sees) "
            "or postgresql://USER:PASSWORD@HOST/NAME"
        )

    @pytest.mark.parametrize(
        ("url", "known"),
        [("memory://", True), ("file:///srv", True), ("s3://x", False), ("file://", False)],
    )
    def test_files_are_kept_in_a_folder_or_in_memory(self, url: str, known: bool) -> None:
        if known:
            assert loaded({"ATOMOS_STORAGE__URL": url}).storage.url == url
        else:
            assert refused({"ATOMOS_STORAGE__URL": url}).mistakes[0].key == "storage.url"

    @pytest.mark.parametrize(
        ("environment", "section", "said"),
        [
            ({"ATOMOS_DELIVERY__BACKOFF": "301"}, "delivery", "backoff must not be longer"),
            (
                {"ATOMOS_DATABASE__READER_URL": "postgresql://replica"},
                "database",
                "the same kind of database",
            ),
            ({"ATOMOS_NOTIFICATIONS__KIND": "smtp"}, "notifications", "needs both host and sender"),
            ({"ATOMOS_NOTIFICATIONS__USER": "shop"}, "notifications", "need each other"),
        ],
    )
    def test_settings_that_contradict_each_other_are_refused(
        self, environment: dict[str, str], section: str, said: str
    ) -> None:
        (mistake,) = refused(environment).mistakes
        assert (mistake.key, mistake.source) == (section, next(iter(environment)))
        assert said in mistake.expected

    @pytest.mark.parametrize(
        ("url", "embedded", "decided"),
        [
            ("sqlite://", None, True),
            ("postgresql://db", None, False),
            ("sqlite://", False, False),
            ("postgresql://db", True, True),
        ],
    )
    def test_sqlite_delivers_by_itself_unless_told_otherwise(
        self, url: str, embedded: bool | None, decided: bool
    ) -> None:
        settings = Settings(database=DatabaseSettings(url=url), delivery=DeliverySettings(embedded=embedded))
        assert settings.embedded is decided


class TestTheReport:
    @given(st.sets(st.sampled_from(KEYS), min_size=1))
    def test_every_mistake_is_in_one_report(self, keys: set[str]) -> None:
        wrong = {variable(key): "" for key in keys}
        error = refused(wrong)
        assert {each.key for each in error.mistakes} == keys
        assert all(each.key in str(error) for each in error.mistakes)
        assert isinstance(error, AtomosError)

    def test_mistakes_of_all_layers_and_kinds_come_together(self, tmp_path: Path) -> None:
        folder = written(tmp_path, default='http.port = "x"\n[nowhere]', production="http.port = 0")
        (tmp_path / "level").write_text("loud")
        environment = {
            "ATOMOS_PROFILE": "production",
            "ATOMOS_HTTP__PORT": "80",
            "ATOMOS_LOG__LEVEL_FILE": str(tmp_path / "level"),
            "ATOMOS_DELIVERY__BACKOFF": "1000",
            "ATOMOS_NOPE": "1",
        }
        error = refused(environment, folder, warehouse=WarehouseSettings)
        assert sorted(each.key for each in error.mistakes) == sorted(
            ["http.port", "http.port", "nowhere", "log.level", "delivery", "ATOMOS_NOPE", "warehouse.code"]
        )

    def test_a_mistake_reads_as_a_sentence(self) -> None:
        assert str(refused({"ATOMOS_HTTP__PORT": "70000"})) == (
            "1 mistake in the settings:\n"
            "- http.port must be from 1 to 65535, given '70000' (ATOMOS_HTTP__PORT). "
            "Correct it, or remove it: the default is 8000."
        )

    def test_the_report_travels_between_processes(self) -> None:
        error = refused({"ATOMOS_HTTP__PORT": "70000"})
        again = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (str(again), again.mistakes) == (str(error), error.mistakes)


class TestSecrets:
    PASSWORDS = st.tuples(st.text(max_size=6), st.text(max_size=6)).map(MARK.join)

    @given(PASSWORDS, st.sampled_from(["postgresql://", "postgres://", "postgresql:", "postgresql//", ""]))
    def test_no_password_in_a_url_is_ever_shown(self, password: str, scheme: str) -> None:
        url = f"{scheme}app:{password}@db.example/shop"
        try:
            settings = loaded({"ATOMOS_DATABASE__URL": url})
            told = f"{explain(settings)}{settings!r}{settings.database!r}"
            assert "db.example" in told
        except SettingsError as error:
            told = f"{error}{error.mistakes!r}"
        assert MARK not in told

    @given(st.sampled_from(["password", "sslpassword", "PASSWORD", "secret_key", "token"]), PASSWORDS)
    def test_no_password_in_a_parameter_of_a_url_is_ever_shown(self, name: str, password: str) -> None:
        settings = Settings(
            database=DatabaseSettings(url=f"postgresql://db/shop?a=1&{name}={password.replace('&', '')}")
        )
        assert MARK not in f"{explain(settings)}{settings!r}"

    def test_a_url_without_a_password_is_shown_as_it_is(self) -> None:
        for url in (
            "postgresql://app@db:5432/shop?sslmode=require",
            "sqlite:////srv/a.db",
            "sqlite:///C:/a.db",
        ):
            assert shown(Settings(database=DatabaseSettings(url=url)))["database.url"] == url

    def test_a_secret_is_hidden_in_rows_representations_and_reports(self, tmp_path: Path) -> None:
        mail = NotificationsSettings(user="shop", password=MARK)
        settings = Settings(notifications=mail)
        assert shown(settings)["notifications.password"] == "(hidden)"
        assert MARK not in f"{mail!r}{settings!r}"
        folder = written(
            tmp_path, default=f'[notifications.password]\nx = "{MARK}"\n[zzz]\npassword = "{MARK}"'
        )
        error = refused({"ATOMOS_PASSWORD": MARK}, folder)
        assert len(error.mistakes) == 3
        assert MARK not in f"{error}{error.mistakes!r}"

    def test_a_secret_that_is_not_set_is_seen_to_be_missing(self) -> None:
        assert shown(Settings())["notifications.password"] == "null"

    def test_the_secrets_of_a_context_are_hidden_too(self) -> None:
        environment = {"ATOMOS_ALLOCATION__CARRIER__TOKEN": MARK}
        settings = loaded(environment, allocation=AllocationSettings)
        assert shown(settings)["allocation.carrier.token"] == "(hidden)"
        assert MARK not in repr(settings)


class TestContexts:
    def test_a_context_has_a_section_of_its_name(self, tmp_path: Path) -> None:
        folder = written(tmp_path, default="[allocation]\nlimit = 5\ncarrier.url = 'http://a'")
        settings = loaded({"ATOMOS_ALLOCATION__LIMIT": "7"}, folder, allocation=AllocationSettings)
        wanted = AllocationSettings(limit=7, carrier=CarrierSettings(url="http://a"))
        assert settings.contexts == {"allocation": wanted}
        assert sources(settings)["allocation.limit"] == "ATOMOS_ALLOCATION__LIMIT"

    def test_its_section_is_unknown_where_it_is_not_composed(self, tmp_path: Path) -> None:
        error = refused({"ATOMOS_ALLOCATION__LIMIT": "7"}, written(tmp_path, default="[allocation]"))
        assert [each.expected for each in error.mistakes] == ["is not a setting"] * 2

    def test_a_section_inside_it_keeps_its_own_default_but_for_what_is_given(self) -> None:
        environment = {"ATOMOS_ALLOCATION__SLOW__TOKEN": "x"}
        (allocation,) = loaded(environment, allocation=AllocationSettings).contexts.values()
        assert allocation == AllocationSettings(slow=CarrierSettings(url="http://slow.example", token="x"))  # noqa: S106

    def test_what_has_no_default_must_be_given(self) -> None:
        (mistake,) = refused(warehouse=WarehouseSettings).mistakes
        assert (mistake.key, mistake.expected) == ("warehouse.code", "must be given")
        assert "ATOMOS_WAREHOUSE__CODE" in mistake.advice

    def test_what_it_works_out_itself_cannot_be_given(self) -> None:
        environment = {"ATOMOS_WAREHOUSE__CODE": "ABC", "ATOMOS_WAREHOUSE__LABEL": "x"}
        (mistake,) = refused(environment, warehouse=WarehouseSettings).mistakes
        assert (mistake.key, mistake.expected) == ("ATOMOS_WAREHOUSE__LABEL", "is not a setting")

    def test_its_constraints_and_rules_are_checked(self) -> None:
        (mistake,) = refused({"ATOMOS_WAREHOUSE__CODE": "abc"}, warehouse=WarehouseSettings).mistakes
        assert (mistake.expected, mistake.given) == ("must match [A-Z]{3}", "'abc'")
        assert "it has no default" in mistake.advice
        (mistake,) = refused({"ATOMOS_ALLOCATION__SIZES": "[101]"}, allocation=AllocationSettings).mistakes
        assert mistake.expected == "contradicts itself: a size is above limit"

    def test_types_of_its_own_are_read_and_shown(self) -> None:
        settings = loaded({"ATOMOS_ALLOCATION__PATIENCE": "PT9S"}, allocation=AllocationSettings)
        assert shown(settings)["allocation.patience"] == '"PT9S"'
        (mistake,) = refused({"ATOMOS_ALLOCATION__PATIENCE": "9s"}, allocation=AllocationSettings).mistakes
        assert mistake.expected == "must be a value of type timedelta"

    @pytest.mark.parametrize("name", ["database", "profile", "contexts"])
    def test_it_may_not_take_the_name_of_a_section(self, name: str) -> None:
        (mistake,) = refused(**{name: AllocationSettings}).mistakes  # type: ignore[arg-type]
        assert (mistake.key, mistake.expected) == (name, "is a section of Atomos itself")


class TestTheFilesThatShip:
    @pytest.fixture()
    def everything(self, tmp_path: Path) -> Path:
        text = (CONFIG / "default.toml").read_text()
        return written(tmp_path, default=re.sub(r"(?m)^#(?=\w+ = )", "", text))

    def test_every_setting_is_documented_in_the_default_file(self, everything: Path) -> None:
        table = tomllib.loads((everything / "default.toml").read_text())
        assert [f"{section}.{name}" for section, names in table.items() for name in names] == KEYS

    def test_what_is_commented_out_is_what_the_code_has(self, everything: Path) -> None:
        said, code = shown(loaded(folder=everything)), shown(Settings())
        assert {key for key in KEYS if said[key] != code[key]} == {key for key in KEYS if code[key] == "null"}

    @pytest.mark.parametrize("profile", ["development", "test", "production"])
    def test_every_profile_loads_and_changes_what_it_says(self, profile: str) -> None:
        settings = loaded({"ATOMOS_PROFILE": profile}, CONFIG)
        file = (CONFIG / f"{profile}.toml").as_posix()
        changed = {row.key: row.shown for row in explain(settings) if row.source == file}
        assert changed
        assert all(shown(Settings())[key] != value for key, value in changed.items())

    def test_production_logs_for_machines_listens_to_all_and_has_no_page(self) -> None:
        settings = loaded({"ATOMOS_PROFILE": "production"}, CONFIG)
        assert (settings.log.format, settings.http) == ("json", HttpSettings(host="0.0.0.0", docs=False))  # noqa: S104


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ATOMOS_LIMITS__ADDRESS", "600 a minute", "such as 600/minute"),
        ("ATOMOS_LIMITS__PRINCIPAL", "0/minute", "such as 600/minute"),
        ("ATOMOS_LIMITS__STORAGE", "memcached://h", "redis://HOST:PORT/NUMBER"),
        ("ATOMOS_HTTP__ALLOWED_HOSTS", '["api.example.org:8000"]', "without a port"),
        ("ATOMOS_HTTP__ALLOWED_HOSTS", '["API.example.org"]', "lower case"),
        ("ATOMOS_HTTP__TRUSTED_PROXIES", '["10.0.0.1/8"]', "10.0.0.1/8 has host bits set"),
        ("ATOMOS_HTTP__TRUSTED_PROXIES", '["proxy.example.org"]', "such as 10.0.0.0/8"),
        ("ATOMOS_CORS__ORIGINS", '["https://app.example.org/"]', "'https://app.example.org/' is not"),
        ("ATOMOS_CORS__ORIGINS", '["app.example.org"]', "https://HOST:PORT"),
        ("ATOMOS_CORS__ORIGINS", '["https://.example.org"]', "https://HOST:PORT"),
        ("ATOMOS_CORS__ORIGINS", '["https://a..b"]', "https://HOST:PORT"),
        ("ATOMOS_HTTP__ALLOWED_HOSTS", '["a..b"]', "lower case"),
        ("ATOMOS_CORS__MAX_AGE", "-1", "from 0 to 86400"),
    ],
)
def test_what_is_exposed_how_is_said_in_one_form(variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(folder=NOWHERE, environment={variable: value})
    assert said in str(error.value)


def test_what_is_exposed_how_is_read_from_the_environment() -> None:
    given = load(
        folder=NOWHERE,
        environment={
            "ATOMOS_LIMITS__ADDRESS": "600/minute",
            "ATOMOS_LIMITS__STORAGE": f"redis://:{MARK}@db/0",
            "ATOMOS_HTTP__ALLOWED_HOSTS": '["api.example.org", ".shop.example.org", "[::1]", "127.0.0.1"]',
            "ATOMOS_HTTP__TRUSTED_PROXIES": '["10.0.0.0/8", "2001:db8::7"]',
            "ATOMOS_CORS__ORIGINS": '["https://app.example.org", "http://localhost:3000"]',
        },
    )
    assert given.limits.address == "600/minute"
    assert given.http.trusted_proxies == ("10.0.0.0/8", "2001:db8::7")
    assert len(given.http.allowed_hosts) == 4
    assert given.cors.origins == ("https://app.example.org", "http://localhost:3000")
    assert MARK not in repr(given)
    assert MARK not in repr(given.limits)
