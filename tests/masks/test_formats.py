"""Masks in files: round trips, and files that are damaged or somebody else's."""

import hashlib
import json
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from prunekit.masks import Mask, scores
from tests.masks.helpers import SMALL, bools, network

masks = st.dictionaries(
    st.text(min_size=1, max_size=6).filter(lambda s: s != "__metadata__"),
    st.tuples(st.lists(st.integers(1, 3), max_size=3), st.integers(0, 10**6)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(masks)
def test_export_round_trip(tmp_path_factory, shapes):
    folder = tmp_path_factory.mktemp("masks")
    rng = {name: torch.Generator().manual_seed(seed) for name, (_, seed) in shapes.items()}
    mask = Mask({name: torch.rand(tuple(size), generator=rng[name]) > 0.5 for name, (size, _) in shapes.items()})
    for ending in ("safetensors", "json"):
        mask.save(folder / f"m.{ending}")
        found = Mask.load(str(folder / f"m.{ending}"))
        assert found == mask and list(found) == list(mask)
        assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_an_exported_mask_fits_the_model_it_came_from(tmp_path):
    model = network()
    mask = Mask.from_scores(scores.magnitude(model), 7)
    for ending in ("safetensors", "json"):
        mask.save(tmp_path / f"m.{ending}")
        again = network()
        Mask.load(tmp_path / f"m.{ending}").apply_(again)
        assert sum(int((again[i].weight != 0).sum()) for i in (0, 2)) == 7
        with pytest.raises(ValueError, match=r"'0\.weight', which is no parameter of the model"):
            Mask.load(tmp_path / f"m.{ending}").apply_(nn.Linear(4, 6))
        with pytest.raises(ValueError, match="has shape"):
            Mask.load(tmp_path / f"m.{ending}").apply_(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))


@pytest.mark.parametrize("ending", ["safetensors", "json"])
def test_order_is_exported(tmp_path, ending):
    SMALL.save(tmp_path / f"m.{ending}")
    assert list(Mask.load(tmp_path / f"m.{ending}")) == ["b", "a"]


@pytest.mark.parametrize("ending", ["safetensors", "json"])
def test_truncated_and_changed_files_are_refused(tmp_path, ending):
    path = tmp_path / f"m.{ending}"
    SMALL.save(path)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=f"^m.{ending} "):
            Mask.load(path)
    for foreign in (b"", b"[]", b"\x00" * 100, b"GIF89a" + content, content[::-1]):
        path.write_bytes(foreign)
        with pytest.raises(ValueError, match=f"^m.{ending} "):
            Mask.load(path)


@pytest.mark.parametrize("ending", ["safetensors", "json"])
def test_no_changed_byte_changes_the_mask(tmp_path, ending):
    """JSON is refused; so is safetensors, but for another spelling of the same header."""
    path = tmp_path / f"m.{ending}"
    mask = Mask({"é.a": bools(True, False, True), "b": torch.ones(2, 9, dtype=torch.bool)})
    mask.save(path)
    content = path.read_bytes()
    for position in range(len(content)):
        for change in [1 << bit for bit in range(8)] + [0x2A, 0x29]:  # a space as other white space
            changed = bytes([content[position] ^ change])
            path.write_bytes(content[:position] + changed + content[position + 1 :])
            try:
                found = Mask.load(path)
            except ValueError as refused:
                assert str(refused).startswith(f"m.{ending} ")
            else:
                assert ending == "safetensors" and found == mask and changed in b"E\t\n"


def test_foreign_safetensors_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    tensors = {"w": bools(True, False)}
    good = {"format": "prunekit.mask", "version": "1", "counts": '{"w": 1}'}
    save_file(tensors, path, metadata=good)
    assert Mask.load(path).kept == 1
    for changed, message in [
        (None, "no mask of prunekit"),
        ({**good, "format": "pt"}, "no mask of prunekit"),
        ({**good, "version": "2"}, "has version '2': this prunekit reads version 1"),
        ({**good, "counts": '{"w": 2}'}, "damaged"),
        ({**good, "counts": "7"}, "lacks its counts"),
        ({"format": "prunekit.mask", "version": "1"}, "lacks its counts"),
    ]:
        save_file(tensors, path, metadata=changed)
        with pytest.raises(ValueError, match=message):
            Mask.load(path)
    save_file({"w": torch.ones(2)}, path, metadata=good)  # weights, not truth values
    with pytest.raises(ValueError, match="damaged"):
        Mask.load(path)
    for last in (b"\x03\x00", b"\x01\x02"):  # bytes that are no truth value
        save_file(tensors, path, metadata={**good, "counts": json.dumps({"w": sum(last)})})
        path.write_bytes(path.read_bytes()[:-2] + last)
        with pytest.raises(ValueError, match="damaged"):
            Mask.load(path)


def document(*entries, **changes):
    """Return a JSON mask of some parameters, with their checksum."""
    text = json.dumps(entries, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"format": "prunekit.mask", "version": 1, "sha256": digest, "parameters": list(entries), **changes}


@pytest.mark.parametrize(
    "change",
    [
        {"kept": [0, 0]}, {"kept": [4]}, {"kept": [-1]}, {"kept": [0.5]}, {"kept": True}, {"kept": {}},
        {"kept": ["a"]}, {"shape": [2, -2]}, {"shape": 4}, {"shape": [2.0]}, {"shape": [2**40]},
        {"shape": [2**20, 2**20]}, {"shape": [0]}, {"name": ["w"]}, {"name": 3},
    ],
    ids=str,
)  # fmt: skip
def test_damaged_json_is_refused(tmp_path, change):
    path = tmp_path / "m.json"
    entry = {"name": "w", "shape": [2, 2], "kept": [1, 3]}
    path.write_text(json.dumps(document(entry)))
    assert Mask.load(path)["w"].tolist() == [[False, True], [False, True]]
    path.write_text(json.dumps(document({**entry, **change})))  # the checksum is right, the content is not
    with pytest.raises(ValueError, match=r"^m.json is damaged") as refused:
        Mask.load(path)
    assert "checksum" not in str(refused.value)


def test_other_damaged_json_and_endings(tmp_path):
    path = tmp_path / "m.json"
    entry = {"name": "w", "shape": [2], "kept": []}
    for changed, message in [
        (document(entry, entry), "named twice"),
        (document({"name": "w"}), "damaged"),
        (document(entry, parameters=[{**entry, "kept": [0]}]), "its checksum does not match"),
        (document(entry, sha256=None), "its checksum does not match"),
        ({k: v for k, v in document(entry).items() if k != "sha256"}, "damaged .'sha256'"),
        (document(entry, version=2), "reads version 1"),
        (document(entry, format=None), "no mask of prunekit"),
    ]:
        path.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=message):
            Mask.load(path)
    with pytest.raises(FileNotFoundError):
        Mask.load(tmp_path / "none.json")
    for act in (SMALL.save, Mask.load):
        with pytest.raises(ValueError, match=r"path ends in '\.pt': give one that ends in \.safetensors or \.json"):
            act(tmp_path / "m.pt")


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.json"
    SMALL.save(path)

    def full(handle):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        (~SMALL).save(path)
    assert Mask.load(path) == SMALL and [p.name for p in tmp_path.iterdir()] == ["m.json"]
