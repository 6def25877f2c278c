"""Data sets: read whole, refused when missing or damaged, normalized and augmented in batches."""

from __future__ import annotations

import dataclasses
import gzip
import os
import pickle
import struct
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from prunekit.nets import load, sources
from prunekit.nets.data import crop, find_device, flip
from prunekit.nets.sources import CorruptData, MissingData
from tests.nets.helpers import toy

MNIST_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def test_digits_are_split_by_the_seed() -> None:
    from sklearn.datasets import load_digits

    digits = load("digits")
    assert digits.train_x.dtype == torch.uint8
    assert (len(digits.train_x), len(digits.test_x), digits.shape, digits.inputs) == (1437, 360, (1, 8, 8), 64)
    assert int(digits.train_x.max()) == 16
    assert set(digits.test_y.tolist()) == set(range(10))
    x = digits.normalize(digits.train_x)
    assert x.dtype == torch.float32
    assert abs(float(x.mean())) < 1e-5
    assert abs(float(x.std()) - 1) < 1e-3
    assert load("digits").checksum == digits.checksum
    assert load("digits", seed=1).checksum != digits.checksum
    whole = torch.cat([digits.train_x, digits.test_x]).flatten(1).double()
    assert torch.equal(whole.sum(0), torch.tensor(load_digits().data).sum(0))  # every image once


def test_digits_are_scikit_learns_wherever_its_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    asked = []
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: asked.append(1) or load_digits())
    found = load("digits")
    assert not asked  # its import is dear
    hidden = SimpleNamespace(locate_file=lambda file: tmp_path / file)
    monkeypatch.setattr("prunekit.nets.loading.distribution", lambda name: hidden)
    assert load("digits").checksum == found.checksum and asked


def test_a_subset_is_drawn_without_replacement_and_keeps_the_moments() -> None:
    digits, few = load("digits"), load("digits", subset=(100, 50))
    assert (len(few.train_x), len(few.test_x)) == (100, 50)
    assert torch.equal(few.mean, digits.mean)
    whole = load("digits", subset=1437)
    assert torch.equal(whole.train_y.sort().values, digits.train_y.sort().values)
    assert len(load("digits", subset=7).test_x) == 360
    for wrong in (0, 1438, (5, 361), (1, 2, 3)):
        with pytest.raises(ValueError, match=r"^subset is"):
            load("digits", subset=wrong)


def test_the_checksum_is_of_the_content() -> None:
    a, b = toy(), toy()
    assert a.checksum == b.checksum
    b.train_x[0, 0, 0, 0] += 1
    assert dataclasses.replace(b).checksum != a.checksum
    assert dataclasses.replace(a, mean=a.mean + 1).checksum != a.checksum


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"train_x": torch.zeros(60, 4, 4, dtype=torch.uint8)}, "test_x"),
        ({"test_x": torch.zeros(60, 1, 5, 4, dtype=torch.uint8)}, "test_x"),
        ({"test_y": torch.zeros(59, dtype=torch.int64)}, "test_y"),
        ({"train_y": torch.full((60,), 3)}, "train_y"),
        ({"classes": 1}, "classes"),
        ({"std": torch.zeros(1)}, "std"),
        ({"mean": torch.zeros(2)}, "mean"),
    ],
)
def test_a_set_that_does_not_hang_together_is_refused(changes: dict, word: str) -> None:
    with pytest.raises(ValueError, match=rf"^{word} "):
        dataclasses.replace(toy(), **changes)
    with pytest.raises(TypeError, match="test_x"):
        dataclasses.replace(toy(), test_x=torch.zeros(60, 1, 4, 4, dtype=torch.int16))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_absent_device_is_an_error() -> None:
    for call in (lambda: find_device("cuda"), lambda: toy().to("cuda:0"), lambda: find_device("abacus")):
        with pytest.raises(ValueError, match=r"^device is"):
            call()
    same = toy()
    assert same.to("cpu") is same


def test_crop_and_flip_work_image_by_image() -> None:
    x = torch.arange(2 * 3 * 5 * 4).view(2, 3, 5, 4).to(torch.uint8)
    assert torch.equal(crop(x, torch.tensor([[2, 2], [2, 2]]), 2), x)
    found = crop(x, torch.tensor([[0, 3], [4, 1]]), 2)
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    assert torch.equal(found[0], padded[0, :, 0:5, 3:7])
    assert torch.equal(found[1], padded[1, :, 4:9, 1:5])
    turned = flip(x, torch.tensor([True, False]))
    assert torch.equal(turned[0], x[0].flip(-1))
    assert torch.equal(turned[1], x[1])


def test_a_name_or_a_root_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"name is 'emnist': give one of digits, mnist"):
        load("emnist")
    monkeypatch.delenv("PRUNEKIT_DATA", raising=False)
    with pytest.raises(MissingData, match="PRUNEKIT_DATA"):
        load("mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_missing_files_say_how_to_get_them(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingData, match=rf"{name}.*download=True"):
        load(name, tmp_path)
    (tmp_path / sources._SOURCES[name].folder).mkdir(parents=True)
    with pytest.raises(MissingData, match=rf"{name}.*missing.*download=True"):
        load(name, tmp_path)
    monkeypatch.setenv("PRUNEKIT_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(MissingData, match="elsewhere"):
        load(name)


def _fake_mnist(root: Path, n: int) -> Path:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in MNIST_FILES:
        images = "images" in name
        head = struct.pack(">iiii", 2051, n, 28, 28) if images else struct.pack(">ii", 2049, n)
        content = head + bytes(n * (784 if images else 1))
        (raw / f"{name}-ubyte").write_bytes(content)
        (raw / f"{name}-ubyte.gz").write_bytes(gzip.compress(content))
    return raw


def test_wrong_and_damaged_mnist_files_are_refused(tmp_path: Path) -> None:
    raw = _fake_mnist(tmp_path, 6)
    with pytest.raises(CorruptData, match=r"training files .* hold images of shape \(6, 1, 28, 28\).*60000"):
        load("mnist", tmp_path)
    file = raw / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CorruptData, match=r"training files .* cannot be read .*download=True"):
        load("mnist", tmp_path)
    file.write_bytes(b"")
    with pytest.raises(CorruptData, match="cannot be read"):
        load("mnist", tmp_path)


def test_mnist_like_files_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = _fake_mnist(tmp_path, 6)
    pixels = np.arange(6 * 784).astype(np.uint8)
    (raw / "train-images-idx3-ubyte").write_bytes(struct.pack(">iiii", 2051, 6, 28, 28) + pixels.tobytes())
    source = dataclasses.replace(sources._SOURCES["mnist"], sizes=(6, 6), digests=None)
    monkeypatch.setitem(sources._SOURCES, "mnist", source)
    monkeypatch.setattr(sources, "_MOMENTS", 4)
    found = load("mnist", tmp_path)
    assert torch.equal(found.train_x, torch.tensor(pixels).view(6, 1, 28, 28))
    assert abs(float(found.mean) - pixels.mean()) < 1e-4
    assert abs(float(found.std) - pixels.std()) < 1e-4


def _same_layout(root: Path, folder: str, pixels: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> None:
    """Write any images and labels in the layout that MNIST and Fashion-MNIST share."""
    raw = root / folder
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        n = len(labels[part])
        head = struct.pack(">IIII", 2051, n, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + pixels[part].tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, n) + labels[part].tobytes())


@pytest.mark.parametrize(
    ("name", "folder", "words"),
    [
        ("mnist", "MNIST/raw", r"training files .* other images or labels than the published ones, by their checksum"),
        ("fashion-mnist", "FashionMNIST/raw", r"training files .* hold pixels of mean 0\.498\d .* \(0\.286, 0\.353\)"),
    ],
)
def test_other_images_in_the_layout_of_a_set_are_refused(tmp_path: Path, name: str, folder: str, words: str) -> None:
    rng = np.random.default_rng(0)
    sizes = {"train": 60000, "t10k": 10000}
    pixels = {part: rng.integers(255, size=n * 784, dtype=np.uint8) for part, n in sizes.items()}
    labels = {part: (np.arange(n) % 10).astype(np.uint8) for part, n in sizes.items()}
    _same_layout(tmp_path, folder, pixels, labels)
    with pytest.raises(CorruptData, match=words):
        load(name, tmp_path, subset=10)


def test_a_fashion_set_of_uneven_classes_is_refused(tmp_path: Path) -> None:
    sizes = {"train": 60000, "t10k": 10000}
    pixels = {part: np.zeros(n * 784, np.uint8) for part, n in sizes.items()}
    labels = {part: (np.arange(n) % 7).astype(np.uint8) for part, n in sizes.items()}
    _same_layout(tmp_path, "FashionMNIST/raw", pixels, labels)
    with pytest.raises(CorruptData, match=r"hold 0 to 8572 images of a class"):
        load("fashion-mnist", tmp_path)


def test_a_home_in_a_root_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data" / "cifar-10-batches-py").mkdir(parents=True)
    for root in ("~/data", Path("~/data"), None):
        monkeypatch.setenv("PRUNEKIT_DATA", "~/data")
        with pytest.raises(MissingData, match=rf"files in {tmp_path}/data/cifar-10-batches-py are missing"):
            load("cifar10", root)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_a_download_into_a_folder_that_cannot_be_written_is_refused_before_it_begins(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets

    monkeypatch.setattr(torchvision.datasets, sources._SOURCES[name].torchvision, None)  # never asked
    file = tmp_path / "file"
    file.write_text("")
    for root in (Path("/proc"), Path("/proc/none/such"), file, file / "below"):
        with pytest.raises(MissingData, match=rf"{name} cannot be downloaded into {root} .*: give a root that can be"):
            load(name, root, download=True)


def test_cifar_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    content = pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]})
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(content)
    with pytest.raises(MissingData, match=r"cifar10.*checksums are wrong.*download=True"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("name", "kind", "error"),
    [
        ("mnist", "MNIST", RuntimeError("Error downloading train-images-idx3-ubyte.gz")),
        ("cifar10", "CIFAR10", URLError("no route to host")),
    ],
)
def test_a_download_that_fails_says_so(
    name: str, kind: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets

    def offline(*_: object, **options: bool) -> None:
        assert options["download"]
        raise error

    monkeypatch.setattr(torchvision.datasets, kind, offline)
    with pytest.raises(MissingData, match=rf"{name} could not be downloaded .*connection, or put the files into"):
        load(name, tmp_path, download=True)


def test_colour_images_put_their_channels_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)

    class Fake:
        def __init__(self, root: str, train: bool, download: bool) -> None:
            assert not download
            self.data, self.targets = images, [0, 1, 2, 3]

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Fake)
    monkeypatch.setitem(sources._SOURCES, "cifar10", dataclasses.replace(sources._SOURCES["cifar10"], sizes=(4, 4)))
    (tmp_path / "cifar-10-batches-py").mkdir()
    found = load("cifar10", tmp_path)
    assert torch.equal(found.test_x, torch.tensor(images).permute(0, 3, 1, 2))
    assert np.allclose(found.mean.numpy(), images.mean((0, 1, 2)), atol=1e-3)
    assert np.allclose(found.std.numpy(), images.std((0, 1, 2)), atol=1e-3)


def _picture(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), colour).save(path)


def test_tiny_imagenet_is_read_from_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = dataclasses.replace(sources._SOURCES["tiny-imagenet"], sizes=(4, 2))
    monkeypatch.setitem(sources._SOURCES, "tiny-imagenet", source)
    folder = tmp_path / "tiny-imagenet-200"
    for label, shade in (("n01", 40), ("n02", 200)):
        for k in range(2):
            _picture(folder / "train" / label / "images" / f"{label}_{k}.JPEG", (shade, 50 * k, 9 * k))
    table = folder / "val" / "val_annotations.txt"
    table.parent.mkdir()
    table.write_text("a.JPEG\tn02\t0\t0\nb.JPEG\tn01\t0\t0\n")
    for name in ("a", "b"):
        _picture(folder / "val" / "images" / f"{name}.JPEG", (0, 255, 0))
    found = load("tiny-imagenet", tmp_path)
    assert (found.shape, found.classes) == ((3, 64, 64), 200)
    assert (found.train_y.tolist(), found.test_y.tolist()) == ([0, 0, 1, 1], [1, 0])
    assert abs(int(found.train_x[2, 0].float().mean()) - 200) <= 2
    Image.new("L", (64, 64), 255).save(folder / "val" / "images" / "a.JPEG")
    assert torch.equal(load("tiny-imagenet", tmp_path).test_x[0], torch.full((3, 64, 64), 255, dtype=torch.uint8))


def test_tiny_imagenets_faults_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = dataclasses.replace(sources._SOURCES["tiny-imagenet"], sizes=(1, 1))
    monkeypatch.setitem(sources._SOURCES, "tiny-imagenet", source)
    folder = tmp_path / "tiny-imagenet-200"

    def refused(error: type[Exception], reason: str) -> None:
        with pytest.raises(error, match=reason):
            load("tiny-imagenet", tmp_path, download=True)

    refused(MissingData, "tiny-imagenet.*unpack")
    folder.mkdir()
    refused(MissingData, "no class folders")
    _picture(folder / "train" / "n01" / "images" / "n01_0.JPEG", (1, 2, 3))
    refused(MissingData, r"val_annotations\.txt is missing")
    (folder / "val" / "images").mkdir(parents=True)
    (folder / "val" / "val_annotations.txt").write_text("b.JPEG\tn01\t0\t0\n")
    refused(MissingData, r"b\.JPEG is missing")
    (folder / "val" / "images" / "b.JPEG").write_bytes(b"no picture")
    refused(CorruptData, "test files .* cannot be read")


@pytest.mark.real_data
@pytest.mark.skipif(not os.environ.get("PRUNEKIT_DATA"), reason="PRUNEKIT_DATA does not name a folder with MNIST")
def test_real_mnist() -> None:
    mnist = load("mnist")
    assert mnist.train_x.shape == (60000, 1, 28, 28)
    assert np.allclose(float(mnist.mean) / 255, 0.1307, atol=1e-4)
    assert np.allclose(float(mnist.std) / 255, 0.3081, atol=1e-4)
    assert torch.bincount(mnist.train_y).tolist()[:2] == [5923, 6742]
