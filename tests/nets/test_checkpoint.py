"""Checkpoints: a killed training ends as if it had not been, and nothing but its own checkpoint is taken."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from prunekit._system import locks, owners
from prunekit.nets import CheckpointError, Config, Diverged, checkpoint, fit, models
from tests.nets import nursery
from tests.nets.helpers import equal, state, toy

ROOT = Path(__file__).resolve().parents[2]


class Nursery:
    """The process that forks the children."""

    def __init__(self, served: subprocess.Popen[str], path: Path) -> None:
        self.served, self.path = served, path

    def start(self) -> int:
        """Start a training and return its process id."""
        assert self.served.stdin is not None
        self.served.stdin.write(f"{self.path}\n")
        self.served.stdin.flush()
        return self.answer()

    def answer(self) -> int:
        """Wait for the next number."""
        assert self.served.stdout is not None
        return int(self.served.stdout.readline())


def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """SIGKILL, for real; where the training ends before ten kills it starts anew."""
    whole = nursery.train(None)
    path = tmp_path / "kept" / "run.safetensors"
    longest = float(whole.history["seconds"].sum()) / 2
    rng, ends, reached = np.random.default_rng(), [], []
    command = [sys.executable, "-m", "tests.nets.nursery"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as served:
        forks = Nursery(served, path)
        while ends.count(-signal.SIGKILL) < 10:
            assert len(ends) < 40, f"the trainings end before they are killed: {ends}"
            child = forks.start()
            time.sleep(rng.uniform(0, longest))
            with contextlib.suppress(ProcessLookupError):  # it was quick
                os.kill(child, signal.SIGKILL)
            ends.append(forks.answer())
            reached.append(checkpoint.read(path)[1]["epoch"] if path.exists() else 0)
            longest *= 1.0 if reached[-1] else 1.3  # to start takes a part of it
            if ends[-1] == 0:
                path.unlink()
        forks.start()
        assert forks.answer() == 0
    assert set(ends) <= {0, -signal.SIGKILL}
    assert any(0 < epoch < nursery.EPOCHS for epoch in reached)
    resumed = nursery.train(str(path))  # nothing is left to do: this reads the result
    assert equal(state(resumed.model), state(whole.model))
    assert resumed.history.without("seconds") == whole.history.without("seconds")
    assert resumed.averaged is not None
    assert whole.averaged is not None
    assert equal(resumed.averaged, whole.averaged)
    assert {p.name for p in path.parent.iterdir()} == {"run.safetensors"}  # no draft and no lock of the killed


def net(seed: int = 0) -> nn.Module:
    return models.two_layer(16, 8, 3, seed=seed)


CONFIG = Config(epochs=6, batch_size=20, optimizer="adam", lr=0.01)


def but(**changes: object) -> Config:
    return Config(**{**vars(CONFIG), **changes})


class Interrupted(Exception):
    pass


def _interrupt(path: Path, writes: int, monkeypatch: pytest.MonkeyPatch, config: Config = CONFIG) -> None:
    """Train until some checkpoints are written, then fall."""
    real, left = checkpoint.write, [writes]

    def write(*args) -> None:
        real(*args)
        left[0] -= 1
        if not left[0]:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write", write)
        with pytest.raises(Interrupted):
            fit(net(), toy(), config, resume=path)


@pytest.mark.parametrize("writes", [1, 3, 6, 7])
@pytest.mark.parametrize("changes", [{"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.9}, {"crop": 1}])
def test_every_checkpoint_leads_to_the_same_end(
    writes: int, changes: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, path = but(average=5, **changes), tmp_path / "run.safetensors"
    _interrupt(path, writes, monkeypatch, config)
    seconds = [row["seconds"] for row in checkpoint.read(path)[1]["history"]]
    assert len(seconds) == min(writes, 6)
    model, whole = net(), net()
    resumed, straight = fit(model, toy(), config, resume=path), fit(whole, toy(), config)
    assert equal(state(model), state(whole))
    assert resumed.history.without("seconds") == straight.history.without("seconds")
    assert [row["seconds"] for row in resumed.history.rows][: len(seconds)] == seconds
    assert resumed.averaged is not None
    assert straight.averaged is not None
    assert equal(resumed.averaged, straight.averaged)


def test_batch_norms_statistics_are_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, config = checkpoint.write, Config(epochs=3, batch_size=20)

    def build() -> nn.Module:
        layers = [nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)]
        return models.initialize(nn.Sequential(*layers), 0)

    def write(*args) -> None:
        real(*args)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write", write)
        with pytest.raises(Interrupted):
            fit(build(), toy(), config, resume=tmp_path / "run")
    resumed, whole = build(), build()
    fit(resumed, toy(), config, resume=tmp_path / "run")
    fit(whole, toy(), config)
    assert int(whole[2].num_batches_tracked) == 9
    assert equal(state(resumed), state(whole))


def test_checkpoints_come_as_often_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(checkpoint, "write", lambda path, tensors, record: written.append(record["epoch"]))
    fit(net(), toy(), but(checkpoint_every=4), resume=tmp_path / "run")
    assert written == [4, 6]


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    path, model = tmp_path / "run.safetensors", net()
    first = fit(net(), toy(), CONFIG, resume=path)
    stamp = path.stat().st_mtime_ns
    again = fit(model, toy(), CONFIG, resume=path)
    assert again.history == first.history
    assert equal(state(model), state(first.model))
    assert path.stat().st_mtime_ns == stamp


def test_a_divergence_is_remembered(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Diverged, match="epoch 1"):
            fit(net(), toy(), but(optimizer="sgd", lr=1e30), resume=tmp_path / "run")


def test_the_file_is_safetensors_and_json(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    done = fit(net(), toy(), CONFIG, resume=path)
    assert torch.equal(load_file(path)["weight/input.weight"], done.model.get_parameter("input.weight"))
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])
    record = json.loads(header["__metadata__"]["prunekit-checkpoint"])
    assert record["history"] == list(done.history.rows)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of the checkpoint of a training that fell after three epochs."""
    path = tmp_path / "run.safetensors"
    _interrupt(path, 3, monkeypatch)
    return path


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(kept: Path, part: float) -> None:
    content = kept.read_bytes()
    kept.write_bytes(content[: int(part * len(content))])
    with pytest.raises(CheckpointError, match=r"run\.safetensors is truncated or no safetensors file.*start over"):
        fit(net(), toy(), CONFIG, resume=kept)


def test_a_damaged_checkpoint_is_refused(kept: Path) -> None:
    content = bytearray(kept.read_bytes())
    content[-9] ^= 1
    kept.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is damaged .*checksum"):
        fit(net(), toy(), CONFIG, resume=kept)


@pytest.mark.parametrize("old, new", [(rb"\"epoch\": 3", rb"\"epoch\": 5"), (rb"\"taken\": 9", rb"\"taken\": 8")])
def test_a_damaged_record_is_refused(kept: Path, old: bytes, new: bytes) -> None:
    content = kept.read_bytes()
    place = content.rindex(old)  # the history has epochs too
    kept.write_bytes(content[:place] + new + content[place + len(old) :])
    with pytest.raises(CheckpointError, match=r"is damaged .*checksum"):
        fit(net(), toy(), CONFIG, resume=kept)


def test_another_function_of_the_same_weights_is_another_training(tmp_path: Path) -> None:
    layers = [nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)]
    start = state(one := nn.Sequential(*layers))
    fit(one, toy(), CONFIG, resume=tmp_path / "run")
    other = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))
    other.load_state_dict(start)
    with pytest.raises(CheckpointError, match=r"modules\.2 is ReLU\(\) there and Tanh\(\) here"):
        fit(other, toy(), CONFIG, resume=tmp_path / "run")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign"

    def refused(reason: str) -> None:
        with pytest.raises(CheckpointError, match=reason):
            fit(net(), toy(), CONFIG, resume=path)

    path.write_bytes(pickle.dumps({"weight/input.weight": [0.0] * 128}))
    refused("no safetensors file")
    save_file({"weight/input.weight": torch.zeros(8, 16)}, path)
    refused("was not written by prunekit")
    save_file({"a": torch.zeros(1)}, path, metadata={"prunekit-checkpoint": "{"})
    refused("damaged record")
    save_file({"a": torch.zeros(1)}, path, metadata={"prunekit-checkpoint": '{"format": 99, "digest": ""}'})
    refused("has format 99")
    save_file({"a": torch.zeros(1)}, path, metadata={"prunekit-checkpoint": "[1]"})
    refused("damaged record")
    path.unlink()
    path.mkdir()
    refused("truncated or no safetensors")


@pytest.mark.parametrize(
    ("model", "data", "config", "masks", "reason"),
    [
        (net(), toy(), but(lr=0.02), None, r"config\.lr is 0\.01 there and 0\.02 here"),
        (net(), toy(), but(epochs=7), None, r"config\.epochs is 6 there and 7 here"),
        (net(1), toy(), CONFIG, None, "initial weights is"),
        (models.two_layer(16, 9, 3), toy(), CONFIG, None, r"shapes\.input\.weight is \[8, 16\] there and \[9, 16\]"),
        (models.fcn(16, [8, 8], 3), toy(), CONFIG, None, r"shapes\.hidden1\.weight is None there"),
        (net(), toy(seed=1), CONFIG, None, r"data\.checksum is"),
        (net(), toy(), CONFIG, {"output.weight": torch.zeros(3, 8, dtype=torch.bool)}, "masks is"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(kept: Path, model, data, config, masks, reason: str) -> None:
    file, weights = kept.read_bytes(), state(model)
    with pytest.raises(CheckpointError, match=rf"belongs to another training: .*{reason}"):
        fit(model, data, config, masks=masks, resume=kept)
    assert kept.read_bytes() == file
    assert equal(state(model), weights)


def test_a_write_that_falls_leaves_the_old_checkpoint(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept.read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            checkpoint.write(kept, {"a": torch.zeros(1000)}, {})
    assert kept.read_bytes() == before


def lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def test_a_second_training_on_one_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.safetensors"
    with checkpoint.claimed(path):
        with pytest.raises(CheckpointError, match=rf"run.safetensors is the checkpoint of .*process {os.getpid()} on"):
            fit(net(), toy(), CONFIG, resume=path)
        fit(net(), toy(), but(epochs=1))  # without a checkpoint nothing is shared
    assert not path.exists() and list(path.parent.iterdir()) == []
    fit(net(), toy(), CONFIG, resume=path)
    assert [p.name for p in path.parent.iterdir()] == ["run.safetensors"]


def test_another_host_s_training_is_noticed_by_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its lock is not seen here, so the file's mark and time of change decide."""
    path = tmp_path / "run.safetensors"
    monkeypatch.setattr(locks, "WATCH", 0.2)
    lock_of(path).write_text(f"{owners.Owner('node-7', 12, 3).mark}\n")
    stamps = iter(range(1000))
    with monkeypatch.context() as patch:
        patch.setattr(locks, "_stamp", lambda _: next(stamps))
        with pytest.raises(CheckpointError, match="process 12 on node-7: wait for it"):
            fit(net(), toy(), CONFIG, resume=path)
    assert "watching for 0 s whether it still lives" in capsys.readouterr().err
    fit(net(), toy(), CONFIG, resume=path)  # it was killed: nothing beats
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_without_locks_the_marks_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def none(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "run.safetensors"
    monkeypatch.setattr(locks.fcntl, "flock", none)
    with checkpoint.claimed(path), pytest.raises(CheckpointError, match="is the checkpoint of a training that runs"):
        fit(net(), toy(), CONFIG, resume=path)
    me = owners.me()
    lock_of(path).write_text(owners.Owner(me.host, me.pid, me.start + 1).mark)  # killed, its number given anew
    fit(net(), toy(), CONFIG, resume=path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_finished_training_is_read_from_a_folder_that_cannot_be_written(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(net(), toy(), CONFIG, resume=kept)

    def read_only(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    whole = fit(net(), toy(), CONFIG)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", read_only)
        assert equal(state(fit(net(), toy(), CONFIG, resume=kept).model), state(whole.model))
