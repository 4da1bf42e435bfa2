"""The configuration: layers, overrides, and errors that name the key and the next step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config import Config, load_config
from pipeline.errors import ConfigError

CONFIGS = Path(__file__).parents[1] / "configs"


def write(folder: Path, text: str, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path, *overrides: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return {problem.key: str(problem) for problem in caught.value.problems}


def test_default_yaml_names_every_key_with_its_default() -> None:
    written = yaml.safe_load((CONFIGS / "default.yaml").read_text(encoding="utf-8"))

    def keys(tree: object, prefix: str = "") -> set[str]:
        if not isinstance(tree, dict):
            return {prefix}
        return {key for name, value in tree.items() for key in keys(value, f"{prefix}.{name}")}

    assert keys(written) == keys(Config().model_dump())
    assert load_config(CONFIGS / "default.yaml") == Config()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_are_valid(path: Path) -> None:
    load_config(path)


def test_extends_and_overrides_come_in_order(tmp_path: Path) -> None:
    write(tmp_path, "engine: {threads: 1, name: openvino}\nfaces: {select: main}", "base.yaml")
    path = write(tmp_path, "extends: base.yaml\nengine: {threads: 2}")
    config = load_config(path, ["engine.device=gpu", "input.paths=[a, b]", "network.max_side_px=null"])
    assert (config.engine.threads, config.engine.name, config.engine.device) == (2, "openvino", "gpu")
    assert config.faces.select == "main"
    assert config.input.paths == ("a", "b")
    assert config.network.max_side_px is None


def test_config_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().engine.threads = 3  # type: ignore[misc]


def test_all_problems_at_once_with_file_key_and_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, "engine: {thread: 4}", "base.yaml")
    path = write(
        tmp_path, "extends: base.yaml\ndetector: {max_side_px: wide}\nfases: {select: all}\noutput: 3"
    )
    problems = problems_of(path, "faces.select=some", "nonsense")
    assert "did you mean 'threads'?" in problems["engine.thread"]
    assert problems["engine.thread"].startswith(str(tmp_path / "base.yaml"))
    assert "did you mean 'faces'?" in problems["fases"]
    assert "expected" in problems["detector.max_side_px"] and "'wide'" in problems["detector.max_side_px"]
    assert "config.yaml" in problems["detector.max_side_px"]
    assert "keys below it" in problems["output"]
    assert problems["faces.select"].startswith("--set faces.select=some")
    assert "section.key=value" in problems[""]


@pytest.mark.parametrize(
    ("text", "key", "part"),
    [
        ("input: {paths: photos}", "input.paths", "list"),
        ("input: {paths: [3]}", "input.paths.0", "string"),
        ("engine: {threads: 0}", "engine.threads", "greater than 0"),
        ("engine: {threads: 1.5}", "engine.threads", "integer"),
        ("execution: {workers: many}", "execution.workers", "'auto'"),
        ("output: {masks: 17}", "output.masks", "boolean"),
        ("detector: {order: []}", "detector.order", "at least 1"),
        ("detector: {rescue: false}", "detector.rescue", "'never'"),
    ],
)
def test_wrong_values(tmp_path: Path, text: str, key: str, part: str) -> None:
    problems = problems_of(write(tmp_path, text))
    assert list(problems) == [key]
    assert part in problems[key]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [", "line 1"),
        ("just text", "expected sections"),
        ("- 1", "expected sections"),
        ("&a [*a]", "expected sections"),
        ("a: &x {b: *x}", "unknown key"),
        ("!!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_text_that_is_no_configuration(tmp_path: Path, text: str, part: str) -> None:
    path = write(tmp_path, text)
    assert any(part in problem for problem in problems_of(path).values())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "no such file" in problems_of(tmp_path / "missing.yaml")[""]
    assert "cannot be read" in problems_of(tmp_path)[""]
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: \xe9")
    assert "UTF-8" in problems_of(latin)[""]


def test_extends_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "extends: config.yaml", "other.yaml")
    assert "extends itself" in problems_of(write(tmp_path, "extends: other.yaml"))["extends"]
    assert "expected the name" in problems_of(write(tmp_path, "extends: [a]"))["extends"]


def loads_or_explains(path: Path, overrides: tuple[str, ...] = ()) -> None:
    """Load a configuration of any kind: a valid `Config`, or an error whose every problem names a place."""
    try:
        config = load_config(path, overrides)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.source
            assert problem.message
    else:
        assert Config.model_validate(config.model_dump()) == config


FUZZED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZED
@given(st.binary(max_size=300))
def test_any_bytes_load_or_are_explained(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    loads_or_explains(path)


@FUZZED
@given(st.data())
def test_a_damaged_default_loads_or_is_explained(tmp_path: Path, data: st.DataObject) -> None:
    text = (CONFIGS / "default.yaml").read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 12))
        text = (
            text[:place]
            + data.draw(st.text("{}[]:,&*!|>'\"-#?%@ \n\tx0.~é", max_size=6))
            + text[place + gone :]
        )
    loads_or_explains(write(tmp_path, text))


YAML_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@FUZZED
@given(st.data())
def test_any_value_at_any_key_loads_or_is_explained(tmp_path: Path, data: st.DataObject) -> None:
    tree: dict[str, object] = {}
    for _ in range(data.draw(st.integers(1, 4))):
        section = data.draw(st.sampled_from(sorted(Config.model_fields)))
        names = sorted(Config().model_dump()[section])
        if data.draw(st.booleans()):
            tree[section] = data.draw(YAML_VALUES)
        else:
            tree[section] = {data.draw(st.sampled_from(names)): data.draw(YAML_VALUES)}
    loads_or_explains(write(tmp_path, yaml.safe_dump(tree, allow_unicode=True)))


@FUZZED
@given(
    st.lists(
        st.text(max_size=20) | st.from_regex(r"[a-z_]{1,8}\.[a-z_]{1,12}=.{0,12}", fullmatch=True), max_size=3
    )
)
def test_any_overrides_load_or_are_explained(overrides: list[str]) -> None:
    loads_or_explains(CONFIGS / "default.yaml", tuple(overrides))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("crop.max_side_px", "network.max_side_px"),
        ("refine.jaw_penalty", "scores.jaw_penalty"),
        ("refine.jaw_support", "scores.jaw_support"),
    ],
)
def test_keys_of_earlier_versions_are_taken_with_a_warning(
    old: str, new: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (old_section, old_key), (section, key) = old.split("."), new.split(".")
    write(tmp_path, f"{section}: {{{key}: 9}}", "base.yaml")
    path = write(tmp_path, f"extends: base.yaml\n{old_section}: {{{old_key}: 7}}")
    assert load_config(path).model_dump()[section][key] == 7
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: {old} is called {new} now; the old name will go"
    ]
    assert load_config(path, [f"{old}=5"]).model_dump()[section][key] == 5
    assert load_config(path, [f"{new}=4"]).model_dump()[section][key] == 4
    wrong = problems_of(path, f"{old}=wide")
    assert wrong[new].startswith(f"--set {old}=wide")


@pytest.mark.parametrize(
    ("old", "new"), [("scores", "cubic"), ("nearest", "nearest"), ("wide", "wide"), ("auto", "auto")]
)
def test_what_was_upsample_of_the_network_is_its_interpolation(
    old: str, new: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, f"network: {{mirror: true, upsample: {old}}}\ndetector: {{upsample: 2}}")
    if new == "wide":
        assert f"{path}: network.interpolation: expected" in problems_of(path)["network.interpolation"]
        return
    config = load_config(path)
    assert (config.network.interpolation, config.network.mirror, config.detector.upsample) == (new, True, 2)
    assert "network.upsample is called network.interpolation now" in caplog.text
    both = write(tmp_path, "network: {upsample: scores, interpolation: cubic}", "both.yaml")
    assert "network.upsample" in problems_of(both)


def test_an_old_key_beside_its_new_name_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "refine: {jaw_penalty: 3}\nscores: {jaw_penalty: 4}")
    assert problems_of(path) == {
        "refine.jaw_penalty": f"{path}: refine.jaw_penalty: is called scores.jaw_penalty now, "
        "which is given too; keep that one"
    }
    path = write(tmp_path, "refine: {jaw_penalty: 3}\nscores: 5")
    assert set(problems_of(path)) == {"refine.jaw_penalty", "scores"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("black", (0, 0, 0)),
        ("'#Ff8000'", (255, 128, 0)),
        ("grey", (128, 128, 128)),
        ("white", (255, 255, 255)),
    ],
)
def test_background(tmp_path: Path, text: str, expected: tuple[int, int, int]) -> None:
    assert load_config(write(tmp_path, f"input: {{background: {text}}}")).input.background_rgb == expected


@pytest.mark.parametrize("text", ["red", "'#fff'", "'#ff80001'", "12", "#ffffff"])
def test_background_that_is_no_colour(tmp_path: Path, text: str) -> None:
    problems = problems_of(write(tmp_path, f"input:\n  background: {text}\n"))
    assert "expected" in problems["input.background"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "faces: {select: all}\ncrop: {}\nfaces: {select: main}\n",
            "line 3, column 1: 'faces' stands in line 1",
        ),
        ("input:\n  recursive: true\n  recursive: false\n", "line 3, column 3: 'recursive' stands in line 2"),
        ("input: {max_pixels: 0200000000}\n", "line 1, column 21: 0200000000 is an octal number to some"),
        ("execution: {time_limit_seconds: 1:30}\n", "1:30 is a number to the base of sixty"),
        ("output:\n  masks: no\n", "line 2, column 10: no is a truth value to some"),
        (
            "x-a: &a {masks: true}\noutput:\n  <<: *a\n  <<: *a\n",
            "line 4, column 3: '<<' stands in line 3 already; write <<: [*ONE, *OTHER]",
        ),
    ],
)
def test_yaml_that_surprises_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(path)


def test_anchors_may_be_kept_in_keys_that_begin_with_x(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    text = "x-off: &off {masks: false, overlays: false}\noutput: {<<: *off, overlays: true}\n"
    path.write_text(text, encoding="utf-8")
    output = load_config(path).output
    assert (output.masks, output.overlays) == (False, True)


def test_what_anchors_bring_in_is_no_second_key(tmp_path: Path) -> None:
    text = "x-off: &off {masks: false, overlays: false}\n"
    text += "x-deep: {er: {est: &most {<<: *off, overlays: true}}}\noutput: {<<: [*most, *off]}\n"
    output = load_config(write(tmp_path, text)).output
    assert (output.masks, output.overlays) == (False, True)


@pytest.mark.parametrize(
    ("overrides", "options", "key"),
    [
        (["output=3"], {"output": {"directory": "x"}}, "output"),
        (["output=3", "output.masks=false"], {}, "output"),
        (["engine.caffe=3", "engine.caffe.command=[a]"], {}, "engine.caffe"),
    ],
)
def test_a_value_where_keys_belong_is_told_whatever_comes_after(
    overrides: list[str], options: dict[str, dict[str, str]], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides, options)
    (problem,) = caught.value.problems
    assert (problem.source, problem.key) == (f"--set {overrides[0]}", key)
    assert problem.message.startswith("expected keys below it (")


def test_an_empty_section_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "output: {masks: false}", "base.yaml")
    path = write(tmp_path, "extends: base.yaml\noutput:\n#  masks: true\n")
    assert not load_config(path, ["output=null"]).output.masks


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_configuration_is_read_by_its_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes("output: {directory: größe}\n".encode(encoding))
    assert load_config(path).output.directory == "größe"


def test_a_configuration_that_belies_its_byte_order_mark_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfea")
    with pytest.raises(ConfigError, match=r"is not UTF-16-LE text \(byte 0\); save it as UTF-8"):
        load_config(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
def test_a_configuration_without_end_is_told() -> None:
    with pytest.raises(ConfigError, match="/dev/zero: cannot be read: has more than 10000000 bytes"):
        load_config("/dev/zero")


@pytest.mark.parametrize("key", ["execution.workers", "engine.threads", "input.max_pixels"])
def test_numbers_that_nobody_means_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key}: expected less than or equal to "):
        load_config(None, [f"{key}=99999999999"])


def test_the_path_of_a_configuration_is_expanded_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "faces: {select: main}")
    assert load_config("~/config.yaml").faces.select == "main"
    with pytest.raises(ConfigError, match="--config: a path is empty"):
        load_config("")
    with pytest.raises(ConfigError, match=r"extends: expected the name of a YAML file, got ''"):
        load_config(write(tmp_path, "extends: ''"))
    with pytest.raises(ConfigError, match=r"--config: ~no-one/x: there is no user no-one; write \./~no-one"):
        load_config("~no-one/x")
    with pytest.raises(ConfigError, match=r"output\.directory: .* no user no-one; write \./~no-one if"):
        load_config(None, ["output.directory=~no-one"])


def test_home_and_variables_are_expanded_wherever_a_path_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ALBUM", "album 1")
    monkeypatch.chdir(tmp_path)
    Path("~kept").touch()
    path = tmp_path / "config.yaml"
    path.write_text("output: {directory: ~/masks}\nlandmarks: {model: '${HOME}/x.dat'}\n", encoding="utf-8")
    overrides = [
        "input.paths=['~/${ALBUM}', '@~/list.txt', '@0:${HOME}/l', '~kept', 'a$b~']",
        "network.model=~/net.prototxt",
        "network.weights=~/w.caffemodel",
        "engine.cache_directory=~/cache",
        "engine.caffe.command=['~/python', '~']",
        "landmarks.read=~/all.lms",
    ]
    config = load_config(path, overrides)
    home = str(tmp_path)
    expected = (f"{home}/album 1", f"@{home}/list.txt", f"@0:{home}/l", "~kept", "a$b~")
    assert config.input.paths == expected
    assert config.output.directory == f"{home}/masks"
    assert config.landmarks.model == f"{home}/x.dat"
    assert (config.network.model, config.network.weights) == (f"{home}/net.prototxt", f"{home}/w.caffemodel")
    assert config.engine.cache_directory == f"{home}/cache"
    assert config.engine.caffe.command == (f"{home}/python", "~")
    assert config.landmarks.read == f"{home}/all.lms"
    with pytest.raises(ConfigError, match="there is no variable NOBODY_SET_IT"):
        load_config(path, ["output.directory='${NOBODY_SET_IT}/x'"])
    with pytest.raises(ConfigError, match=r"output\.directory"):
        load_config(path, (), {"output": {"directory": ""}})
