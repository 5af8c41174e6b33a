"""What each kind of launcher is told, checked at the door: no shell, no secret in clear, names that differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from subsystems.kernel.errors import Invalid

NODE, INSTANCE, HOST = "{node}", "{instance}", "{host}"
Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
Variable = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
# Secrets are named, never told: a variable VSM_CREDENTIAL_… of the platform, or a file in its directory of credentials.
Reference = Annotated[str, Field(max_length=120, pattern=r"^(env:[A-Z0-9_]+|file:[A-Za-z0-9_][A-Za-z0-9_.-]*)$")]
NodeName = Annotated[str, Field(min_length=1, max_length=150, pattern=r"^[A-Za-z0-9_.{}@:-]+$")]
DnsName = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]


class Config(BaseModel):
    """What every kind has: how a worker calls itself, from which its answers are known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: NodeName = f"celery@{INSTANCE}"

    @field_validator("node")
    @classmethod
    def _told_apart(cls, value: str) -> str:
        if INSTANCE not in value:
            raise ValueError(f"must hold {INSTANCE}: two workers of one name cannot be told apart")
        return value

    def instances(self, launcher: str) -> str:
        """Return the pattern of the names of the instances of *launcher*."""
        return f"{launcher}-*"

    def node_of(self, instance: str, host: str) -> str:
        """Return the name by which Celery knows the worker in *instance*."""
        return self.node.replace(INSTANCE, instance).replace(HOST, host)


class SubprocessConfig(Config):
    """A Celery worker as a process of the machine where the platform's worker runs."""

    argv: Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)]
    directory: Annotated[str, Field(max_length=500, pattern=r"^(/[^\x00-\x1f\x7f]*)?$")] = ""
    environment: Annotated[dict[Variable, Annotated[str, Field(max_length=2000)]], Field(max_length=50)] = {}
    credentials: Annotated[dict[Variable, Reference], Field(max_length=50)] = {}
    node: NodeName = f"{INSTANCE}@{HOST}"

    @field_validator("argv")
    @classmethod
    def _names_its_worker(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if sum(NODE in word for word in value) != 1:
            raise ValueError(f"must hold {NODE} once, as in: celery -A shop worker -n {NODE}")
        if not value[0].startswith("/"):
            raise ValueError("must begin with the whole path of a program: nothing is searched for")
        return value


class SystemdConfig(Config):
    """Instances of a template unit, such as `shop-worker@0001.service`."""

    unit: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9:_.-]+@\.service$")]
    user: bool = False
    node: NodeName = f"worker-{INSTANCE}@{HOST}"

    def instances(self, launcher: str) -> str:
        return "[0-9]*"


class DockerConfig(Config):
    """Containers like one that exists already: same image, command, environment, volumes and networks."""

    template: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    socket: Annotated[str, Field(max_length=200, pattern=r"^/[^\x00-\x1f\x7f]+$")] = "/var/run/docker.sock"
    stop_seconds: Annotated[int, Field(ge=1, le=20)] = 10  # what was drained ends at once


class KubernetesConfig(Config):
    """The pods of a Deployment or a StatefulSet, through its Scale subresource."""

    workload: Literal["deployment", "statefulset"] = "deployment"
    name: DnsName
    namespace: DnsName = "default"
    server: Annotated[str, Field(max_length=300)] = ""
    token: Reference | Literal[""] = ""
    ca: Annotated[str, Field(max_length=120, pattern=r"^(file:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$")] = ""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.server and (self.token or self.ca):
            raise ValueError("without a server it is the cluster the platform runs in, with the pod's own token")
        if self.server and not self.token:
            raise ValueError("a server needs a token: the name of a credential, never the token itself")
        parts = urlsplit(self.server)
        if self.server and (parts.scheme != "https" or not parts.hostname or parts.username or parts.query):
            raise ValueError("server must be like https://host:6443")
        return self

    def instances(self, launcher: str) -> str:
        return f"{self.name}-*"


CONFIGS: dict[str, type[Config]] = {
    "subprocess": SubprocessConfig,
    "systemd": SystemdConfig,
    "docker": DockerConfig,
    "kubernetes": KubernetesConfig,
}


def checked(kind: str, given: object) -> Config:
    """Return the configuration of a launcher of *kind*. Raises Invalid naming the field, never the value."""
    if kind not in CONFIGS:
        raise Invalid(f"The kinds are {', '.join(CONFIGS)}.", field="kind")
    if not isinstance(given, Mapping):
        raise Invalid("The configuration must be an object of names and values.", field="config")
    try:
        return CONFIGS[kind].model_validate(dict(given))
    except ValidationError as error:
        mistake: Any = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(["config", *(str(step) for step in mistake["loc"])])
        raise Invalid(f"{place}: {mistake['msg'].removeprefix('Value error, ')}", field=place) from None
