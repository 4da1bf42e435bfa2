"""What a manifest says at the end of a run: counts, failures, a list of what to do again."""

from __future__ import annotations

from collections import Counter, defaultdict
from os import fsencode
from pathlib import Path

from pipeline.counted import counted
from pipeline.manifest.journal import read_manifest, read_run
from pipeline.manifest.schema import ErrorEntry, Record
from pipeline.outputs import write_atomically
from pipeline.summary import small_faces_hint

RETRY_NAME = "retry.txt"


def summary(directory: Path) -> str:
    """Count photographs by status, faces, reasons of failures, and mean seconds of every stage."""
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    stages: defaultdict[str, list[float]] = defaultdict(list)
    faces = at_limit = 0
    for record in read_manifest(directory):
        at_limit += bool(record.get("faces_at_limit"))
        statuses[record["status"]] += 1
        faces += len(record["faces"])
        reasons.update({_reason(error) for error in record["errors"]})
        for stage, seconds in record["seconds"].items():
            stages[stage].append(seconds)
    run = read_run(directory)
    lines = [f"last run: {run.get('state', 'unknown')}, {run.get('seconds', '?')} s"]
    lines.append(f"{counted(statuses.total(), 'photograph')}, {counted(faces, 'face')}")
    lines += [f"  {status:<10}{count}" for status, count in statuses.most_common()]
    if at_limit:
        lines.append(small_faces_hint(at_limit))
    if reasons:
        lines += ["reasons", *(f"  {count:<6}{reason}" for reason, count in reasons.most_common())]
    if stages:
        lines.append("mean seconds of a photograph")
        lines += [f"  {stage:<10}{sum(values) / len(values):.4f}" for stage, values in stages.items()]
    return "\n".join(lines)


def failed(directory: Path) -> str:
    """List the photographs with errors, grouped by reason."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for record in read_manifest(directory):
        for error in record["errors"]:
            message = error["message"]
            shown = message if record["photo"] in message else f"{record['photo']}: {message}"
            groups[_reason(error)].append(shown)
    lines: list[str] = []
    for reason, messages in sorted(groups.items(), key=lambda group: -len(group[1])):
        lines += [f"{reason}: {len(messages)}", *(f"  {message}" for message in messages)]
    return "\n".join(lines) or "no failures"


def retry(directory: Path) -> str:
    """Write a list file of the photographs with errors, and say how to run it."""
    where = read_run(directory).get("working_directory")
    start = fsencode(where) if isinstance(where, str) else b""
    paths = [_listed(record, start) for record in read_manifest(directory) if record["errors"]]
    if not paths:
        return "no failures"
    separator = b"\0" if any(b"\n" in path for path in paths) else b"\n"
    target = directory / RETRY_NAME
    write_atomically(target, [path + separator for path in paths])
    return (
        f"{counted(len(paths), 'photograph')} listed in {target}; run that list again"
        f"{f' in {where}' if where and where != str(Path.cwd()) else ''} with your configuration and\n"
        f"  --input @{target} --output {directory}"
    )


def _reason(error: ErrorEntry) -> str:
    return f"{error['type']} ({error['stage']})"


def _listed(record: Record, working_directory: bytes) -> bytes:
    """The path with its root marked as ``root/./path``, so that its outputs get the same name again.

    A photograph below the working directory is given from there, its root above it is not.
    """
    path = _path(record["photo"], record.get("photo_bytes"))
    root = _path(record["root"], record.get("root_bytes"))
    if root == b".":
        return b"././" + path
    if root.startswith(b"/") and not path.startswith(b"/"):
        path = working_directory.rstrip(b"/") + b"/" + path
    root = root.rstrip(b"/")
    return root + b"/./" + path[len(root) + 1 :] if path.startswith(root + b"/") else path


def _path(shown: str, raw: str | None) -> bytes:
    return bytes.fromhex(raw) if raw else fsencode(shown)
