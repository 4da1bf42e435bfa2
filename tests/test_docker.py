"""The Dockerfile, without a builder: what is pinned, copied, run as whom, and what the README says of it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


class Stage:
    """One stage of the Dockerfile: its base and its instructions."""

    def __init__(self, name: str, base: str) -> None:
        self.name = name
        self.base = base
        self.instructions: list[tuple[str, str]] = []

    def all(self, stages: dict[str, Stage]) -> list[tuple[str, str]]:
        """The instructions that make up an image of this stage."""
        below = stages[self.base].all(stages) if self.base in stages else []
        return below + self.instructions

    def last(self, stages: dict[str, Stage], keyword: str) -> str:
        """The argument of the last instruction of that name, which is the one that holds."""
        return [argument for name, argument in self.all(stages) if name == keyword][-1]

    def each(self, stages: dict[str, Stage], keyword: str) -> list[str]:
        """The arguments of all instructions of that name."""
        return [argument for name, argument in self.all(stages) if name == keyword]


def _read() -> tuple[dict[str, str], dict[str, Stage]]:
    """The arguments before the first stage, and the stages in order."""
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    current: Stage | None = None
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            match = re.fullmatch(r"(\S+) AS (\S+)", rest)
            assert match, f"every stage has a name: {line}"
            current = stages[match[2]] = Stage(match[2], match[1])
        elif current is None:
            assert keyword == "ARG", line
            name, _, value = rest.partition("=")
            arguments[name] = value
        else:
            current.instructions.append((keyword, " ".join(rest.split())))
    return arguments, stages


ARGUMENTS, STAGES = _read()
PIPELINE_TARGETS = ("cpu", "gpu", "serve")
TARGETS = (*PIPELINE_TARGETS, "caffe")


def _labels(target: str) -> dict[str, str]:
    pairs = [pair for label in STAGES[target].each(STAGES, "LABEL") for pair in shlex.split(label)]
    return dict(pair.split("=", 1) for pair in pairs)


def _environment(target: str) -> dict[str, str]:
    pairs = [pair for line in STAGES[target].each(STAGES, "ENV") for pair in shlex.split(line)]
    return dict(pair.split("=", 1) for pair in pairs)


def _copied() -> set[str]:
    """Everything that is copied from the checkout."""
    sources: set[str] = set()
    for stage in STAGES.values():
        for argument in [rest for keyword, rest in stage.instructions if keyword == "COPY"]:
            if not argument.startswith("--from="):
                sources |= set(argument.split()[:-1])
    return sources


def test_the_targets_and_the_default_one() -> None:
    assert set(TARGETS) <= set(STAGES)
    assert list(STAGES)[-1] == "cpu", "docker build without --target builds the last stage"


def test_the_bases_are_named_and_can_be_replaced() -> None:
    assert ARGUMENTS == {"BASE": "debian:bookworm-slim", "CAFFE_BASE": "debian:bullseye-slim"}
    bases = {stage.base for stage in STAGES.values()} - set(STAGES)
    assert bases == {"${BASE}", "${CAFFE_BASE}"}


@pytest.mark.parametrize(
    ("target", "lock"),
    [
        ("cpu", "requirements.lock"),
        ("gpu", "requirements-gpu.lock"),
        ("serve", "requirements-serve.lock"),
    ],
)
def test_packages_come_from_the_hashed_lock_alone(target: str, lock: str) -> None:
    packages = STAGES[f"packages-{target}"]
    assert (ROOT / lock).is_file()
    assert packages.each({}, "COPY") == [f"{lock} /tmp/"]
    (install,) = packages.each({}, "RUN")
    assert f"--require-hashes --only-binary :all: --requirement /tmp/{lock}" in install
    assert f"--from=packages-{target} /opt/uncrop /opt/uncrop" in STAGES[target].each(STAGES, "COPY")


@pytest.mark.parametrize("target", TARGETS)
def test_no_installer_or_compiler_is_left_inside(target: str) -> None:
    commands = STAGES[target].each(STAGES, "RUN")
    assert commands
    for command in commands:
        assert not re.search(r"\b(pip|gcc|g\+\+|build-essential|python3-dev|python3-pip)\b", command), command
        if "apt-get install" in command:
            assert "--no-install-recommends" in command
            assert "rm -rf /var/lib/apt/lists/*" in command


@pytest.mark.parametrize("target", TARGETS)
def test_the_user_is_a_number_and_not_root(target: str) -> None:
    user = STAGES[target].last(STAGES, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), user


@pytest.mark.parametrize("target", ("cpu", "gpu"))
def test_the_entrypoint_is_the_command(target: str) -> None:
    assert json.loads(STAGES[target].last(STAGES, "ENTRYPOINT")) == ["python", "/app/run_pipeline.py"]
    assert STAGES[target].last(STAGES, "WORKDIR") == "/app"


def test_the_server_is_reached_from_outside_of_its_container() -> None:
    words = json.loads(STAGES["serve"].last(STAGES, "ENTRYPOINT"))
    assert words == ["python", "-m", "pipeline", "serve", "--host", "0.0.0.0"]
    assert STAGES["serve"].each(STAGES, "EXPOSE") == ["8000"]
    assert "/healthz" in STAGES["serve"].last(STAGES, "HEALTHCHECK")


def test_the_entrypoint_of_the_reference_engine_is_its_worker() -> None:
    assert json.loads(STAGES["caffe"].last(STAGES, "ENTRYPOINT")) == ["python3", "-u", "/app/caffe_worker.py"]
    assert STAGES["caffe"].each(STAGES, "COPY") == ["pipeline/engines/caffe_worker.py /app/caffe_worker.py"]
    install = STAGES["caffe"].each(STAGES, "RUN")[0]
    assert "python3-caffe" in install
    assert "libopenblas0" in install, "without OpenBLAS Caffe takes 60 times as long"


@pytest.mark.parametrize("target", PIPELINE_TARGETS)
def test_only_cache_and_output_are_written_to(target: str) -> None:
    environment = _environment(target)
    assert {environment[name] for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")} == {"/cache"}
    assert environment["PATH"] == "/opt/uncrop/bin:$PATH"
    assert json.loads(STAGES[target].last(STAGES, "VOLUME")) == ["/cache"]
    assert any("chmod 1777 /data/out /cache" in run for run in STAGES[target].each(STAGES, "RUN"))


def test_the_reference_engine_writes_to_tmp_alone() -> None:
    assert json.loads(STAGES["caffe"].last(STAGES, "VOLUME")) == ["/tmp"]
    assert _environment("caffe")["HOME"] == "/tmp"


@pytest.mark.parametrize("target", TARGETS)
def test_labels(target: str) -> None:
    labels = _labels(target)
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}title"] == ("uncrop-caffe" if target == "caffe" else "uncrop")
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert labels[f"{prefix}description"]


@pytest.mark.parametrize("target", PIPELINE_TARGETS)
def test_the_code_comes_after_the_packages(target: str) -> None:
    copies = STAGES[target].each(STAGES, "COPY")
    assert copies == [f"--from=packages-{target} /opt/uncrop /opt/uncrop", "--from=program /app /app"]


def test_what_is_copied_exists_and_passes_dockerignore() -> None:
    kept: list[tuple[str, bool]] = []
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            kept.append((line.removeprefix("!"), line.startswith("!")))
    assert kept[0] == ("*", False), "everything is left out but what is named"
    for source in _copied():
        assert (ROOT / source).exists(), source
        parts = Path(source).parts
        prefixes = {"/".join(parts[: length + 1]) for length in range(len(parts))}
        assert prefixes & {pattern for pattern, keep in kept if keep}, (
            f"{source} is held back by .dockerignore"
        )
    assert ("data/models/downloads", False) in kept, "weights fetched by the user are not for passing on"


def test_nothing_private_is_copied() -> None:
    assert _copied() == {
        "LICENSE",
        "configs",
        "data/models",
        "landmarks",
        "pipeline",
        "pipeline/engines/caffe_worker.py",
        "requirements-gpu.lock",
        "requirements-serve.lock",
        "requirements.lock",
        "run_pipeline.py",
    }


def _compose(name: str = "uncrop") -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    service: dict[str, Any] = loaded["services"][name]
    return service


def test_compose_serves_this_machine_only_and_asks_for_a_token() -> None:
    service = _compose("serve")
    assert service["build"]["target"] == "serve"
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["environment"] == {"UNCROP_TOKEN": "${UNCROP_TOKEN:-}"}, "without one it refuses to start"
    assert service["read_only"] is True


def test_compose_asks_for_the_gpu_and_writes_nowhere_else() -> None:
    service = _compose()
    assert service["build"]["target"] == "gpu"
    assert "engine.device=cuda" in service["command"], "without a GPU this is refused, not run on the CPU"
    assert service["read_only"] is True
    assert service["network_mode"] == "none"
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    targets = {volume["target"]: volume.get("read_only", False) for volume in service["volumes"]}
    assert targets == {"/data/in": True, "/data/out": False, "/cache": False}


def test_one_cuda_base_is_named_everywhere() -> None:
    base = _compose()["build"]["args"]["BASE"]
    assert re.fullmatch(r"nvidia/cuda:13\.\d+\.\d+-cudnn-runtime-ubuntu24\.04", base)
    for name in ("Dockerfile", "README.md"):
        named = re.findall(r"nvidia/cuda:[\w.-]+", (ROOT / name).read_text("utf-8"))
        assert set(named) == {base}, name


@pytest.mark.parametrize(
    "text",
    [
        "docker build -t uncrop .",
        "docker build -t uncrop-gpu --target gpu --build-arg BASE=",
        "docker build -t uncrop-caffe --target caffe .",
        "--read-only",
        '--user "$(id -u):$(id -g)"',
        "/data/out",
        "/cache",
        "docker compose run --rm uncrop",
        "[docker, run, -i, --rm, uncrop-caffe]",
        "10001",
    ],
)
def test_the_readme_says_what_the_images_are(text: str) -> None:
    assert text in (ROOT / "README.md").read_text("utf-8")


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [hadolint, "--config", str(ROOT / ".hadolint.yaml"), str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
