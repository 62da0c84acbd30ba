"""The parts of a training: models, pretrained weights, losses, augmentation, canvas, recipes."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from segbench.catalog.recipes import (
    AugmentTable,
    LossTable,
    ModelTable,
    TrainedRecipe,
    find_recipe,
    recipe_files,
    trained_recipe,
    with_changes,
)
from segbench.errors import SegbenchError
from segbench.masks.labels import LabelClass
from segbench.training.arithmetic import denormals_as_zero
from segbench.training.augment import augment, draws
from segbench.training.canvas import canvas_of, place, put_image, put_mask, take_back
from segbench.training.export import export_onnx
from segbench.training.feed import EpochOrder, steps_per_epoch, train_loader
from segbench.training.lite0 import lite0_weights, load_lite0
from segbench.training.losses import make_loss, probabilities
from segbench.training.models import check_canvas, make_model
from segbench.training.module import Segmenter, dice
from segbench.training.networks import OnnxNetwork, OnnxOptions
from segbench.training.predict import apply, largest_components
from segbench.training.run_folder import ClassInfo, DataInfo, Environment, Run
from segbench.training.segnet import max_pool, max_unpool
from segbench.training.weights import count_flops, load_weights, save_weights

pytestmark = pytest.mark.xdist_group("training")

TRAINED = [r for r in map(find_recipe, recipe_files()) if isinstance(r, TrainedRecipe)]
IGNORE = 255
LABELS = [
    LabelClass(id=0, name="background", color=(0, 0, 0)),
    LabelClass(id=1, name="lesion", color=(9, 9, 9)),
]


# models


@pytest.mark.parametrize("recipe", TRAINED, ids=lambda r: r.name)
def test_every_packed_recipe_builds_and_keeps_the_size(recipe):
    model = make_model(recipe.model, channels=2, pretrained=False).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 64, 96)).shape == (1, 2, 64, 96)


def test_parameters_of_the_published_networks():
    """SegNet: 29.46 M in the paper (its encoder alone 14.7 M). U-Net: 31.0 M in common counts."""
    segnet = make_model(ModelTable(family="segnet"), channels=11)
    assert sum(p.numel() for p in segnet.parameters()) == pytest.approx(29.46e6, rel=0.002)
    unet = make_model(ModelTable(family="unet"), channels=2)
    assert sum(p.numel() for p in unet.parameters()) == pytest.approx(31.04e6, rel=0.002)


def test_unpooling_puts_values_where_they_came_from():
    x = torch.rand(2, 3, 8, 6)
    values, index = max_pool(x)
    back = max_unpool(values, index, (8, 6))
    assert torch.equal(back, functional.max_unpool2d(values, index, 2))
    for n, c, i, j in np.ndindex(2, 3, 4, 3):
        window = x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        expected = torch.where(window == window.max(), window, torch.zeros(()))
        assert torch.equal(back[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2], expected)


def test_lite0_gives_the_activations_of_the_weights_own_implementation():
    """Golden values: efficientnet_lite_pytorch 0.1.0 (PyPI), torch 2.15.0,

    EfficientNet.from_pretrained("efficientnet-lite0", weights_path=...)(image): topk(5).
    """
    import timm  # noqa: PLC0415

    y, x = np.mgrid[:224, :224]
    image = np.stack([(x * 3 + y * 5 + c * 40) % 256 for c in range(3)]).astype(np.float32) / 255
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(lite0_weights())
    with torch.no_grad():
        top = model(torch.from_numpy(image)[None]).topk(5)
    assert top.indices.tolist() == [[905, 783, 784, 462, 418]]
    golden = [7.1455, 5.4479, 5.1772, 4.8434, 4.8269]
    np.testing.assert_allclose(top.values[0].numpy(), golden, atol=2e-3)


def test_lite0_weights_reach_the_encoder_of_a_recipe_and_no_other():
    recipe = trained_recipe("unet-lite0")
    encoder = make_model(recipe.model, channels=1).encoder.model.state_dict()
    source = lite0_weights()
    assert all(torch.equal(tensor, source[name]) for name, tensor in encoder.items())
    bare = make_model(recipe.model, channels=1, pretrained=False).encoder.model.state_dict()
    assert not torch.equal(bare["conv_stem.weight"], source["conv_stem.weight"])
    with pytest.raises(SegbenchError, match="fit the encoder tu-tf_efficientnet_lite0 only"):
        load_lite0(torch.nn.Conv2d(3, 3, 3))


def test_what_cannot_be_built_is_refused():
    table = {"family": "smp", "architecture": "unet", "encoder": "resnet1000"}
    with pytest.raises(SegbenchError, match="resnet1000"):
        make_model(ModelTable.model_validate(table), channels=1)
    with pytest.raises(SegbenchError, match="widht"):
        make_model(ModelTable(family="unet", options={"widht": 3}), channels=1)
    with pytest.raises(SegbenchError, match="cannot be built"):
        make_model(ModelTable(family="unet", options={"width": 0}), channels=1)


def test_a_canvas_that_does_not_fit_is_refused_before_the_training():
    model = make_model(ModelTable(family="unet", options={"width": 4}), channels=1)
    check_canvas(model, (32, 48), channels=1)
    assert model.training
    assert not any(b.any() for name, b in model.named_buffers() if "running_mean" in name)
    with pytest.raises(SegbenchError, match=r"40x30: fails[\s\S]*multiple"):
        check_canvas(model, (30, 40), channels=1)


# losses, against their definitions pixel by pixel

LOSS_CASES = [
    "bce",
    "cross-entropy",
    "dice",
    "bce-dice",
    "focal",
    "tversky",
    "lovasz",
    "mse",
    "double-sigmoid",
]


def literal(name: str, logits: np.ndarray, targets: np.ndarray) -> float:
    """One object, one channel, batch as one; gamma 2, Tversky alpha .3 (false +), beta .7."""
    valid = targets != IGNORE
    z, t = logits[:, 0][valid].astype(float), (targets[valid] == 1).astype(float)
    p = 1 / (1 + np.exp(-z))
    bce = np.mean(-t * np.log(p) - (1 - t) * np.log(1 - p))
    tp, fp, fn = (p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum()
    soft_dice = 1 - 2 * tp / (2 * tp + fp + fn)
    truth = np.where(t == 1, p, 1 - p)
    errors = 1 - np.where(t == 1, z, -z)
    order = np.argsort(-errors)
    total, loss, before = t.sum(), 0.0, 0.0
    for k in range(1, len(order) + 1):  # Lovasz hinge: errors times the steps of the Jaccard loss
        wrong = order[:k]
        jaccard = 1 - (total - t[wrong].sum()) / (total + (1 - t[wrong]).sum())
        loss += max(errors[order[k - 1]], 0) * (jaccard - before)
        before = jaccard
    second = 1 / (1 + np.exp(-p))
    return {
        "bce": bce,
        "dice": soft_dice,
        "bce-dice": bce + soft_dice,
        "focal": np.mean(-((1 - truth) ** 2) * np.log(truth)),
        "tversky": 1 - tp / (tp + 0.3 * fp + 0.7 * fn),
        "lovasz": loss,
        "mse": np.mean((p - t) ** 2),
        "double-sigmoid": np.mean(-t * np.log(second) - (1 - t) * np.log(1 - second)),
    }[name]


@pytest.mark.parametrize("name", [n for n in LOSS_CASES if n != "cross-entropy"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_losses_are_their_definitions(name, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (2, 1, 5, 7)).astype(np.float32)
    targets = rng.choice(np.array([0, 1, IGNORE], np.uint8), (2, 5, 7))
    targets[0, 0, :2] = 0, 1
    loss = make_loss(LossTable(name=name, alpha=0.3, beta=0.7))
    found = loss(torch.from_numpy(logits), torch.from_numpy(targets))
    assert float(found) == pytest.approx(literal(name, logits, targets), rel=1e-3, abs=1e-4)


def test_cross_entropy_is_its_definition():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 3, 4, 5)).astype(np.float32)
    targets = rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), (2, 4, 5))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = np.mean([
        -np.log(p[n, targets[n, i, j], i, j])
        for n, i, j in np.ndindex(2, 4, 5) if targets[n, i, j] != IGNORE
    ])  # fmt: skip
    loss = make_loss(LossTable(name="cross-entropy"))
    found = loss(torch.from_numpy(logits), torch.from_numpy(targets))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSS_CASES)
@pytest.mark.parametrize("channels", [1, 3])
def test_ignored_pixels_have_no_gradient(name, channels):
    if name == "cross-entropy" and channels == 1:
        pytest.skip("needs a channel for each class")
    logits = torch.randn(2, channels, 6, 6, requires_grad=True)
    targets = torch.randint(0, max(2, channels), (2, 6, 6), dtype=torch.uint8)
    targets[:, :3] = IGNORE
    make_loss(LossTable(name=name))(logits, targets).backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, :3].any()
    assert logits.grad[:, :, 3:].any()


@pytest.mark.parametrize("name", LOSS_CASES)
def test_a_batch_of_ignored_pixels_teaches_nothing(name):
    logits = torch.randn(2, 3, 6, 6, requires_grad=True)
    found = make_loss(LossTable(name=name))(
        logits, torch.full((2, 6, 6), IGNORE, dtype=torch.uint8)
    )
    found.backward()
    assert found == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_doubled_sigmoid_cannot_fall_to_zero():
    """What the docstring says: 0.693 on background and 0.313 on an object, however sure."""
    loss = make_loss(LossTable(name="double-sigmoid"))
    for target, floor in ((0, 0.6931), (1, 0.3133)):
        logits = torch.full((1, 1, 2, 2), 100.0 if target else -100.0)
        targets = torch.full((1, 2, 2), target, dtype=torch.uint8)
        assert float(loss(logits, targets)) == pytest.approx(floor, abs=1e-4)


def test_dice_of_the_validation_is_that_of_the_evaluator():
    import segbench  # noqa: PLC0415

    rng = np.random.default_rng(1)
    truth = rng.choice(np.array([0, 1, IGNORE], np.uint8), (3, 9, 8))
    found = rng.random((3, 1, 9, 8)).astype(np.float32)
    ours = dice(torch.from_numpy(found), torch.from_numpy(truth), [1])
    masks = list((found[:, 0] > 0.5).astype(np.uint8))
    ignored = segbench.ReferencePolicy(means_255="ignore")
    theirs = segbench.evaluate(masks, references=list(truth), reference_policy=ignored)
    assert float(ours.mean()) == pytest.approx(theirs.score("dice").value)


# canvas


@pytest.mark.parametrize(
    ("sizes", "canvas"),
    [
        ({(574, 765), (572, 764), (577, 769)}, (192, 256)),
        ({(384, 512)}, (192, 256)),
        ({(384, 512), (512, 384)}, (256, 256)),
        ({(10, 1000)}, (32, 256)),
    ],
)
def test_canvas_of_sizes(sizes, canvas):
    assert canvas_of(sizes, long_side=256, multiple=32) == canvas


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 70), st.integers(8, 70))
def test_images_fit_and_keep_their_aspect(height, width, canvas_height, canvas_width):
    at = place((height, width), (canvas_height, canvas_width))
    assert at.size[0] <= canvas_height
    assert at.size[1] <= canvas_width
    assert canvas_height in at.size or canvas_width in at.size
    factor = min(canvas_height / height, canvas_width / width)
    assert abs(at.size[0] - height * factor) <= 1
    assert abs(at.size[1] - width * factor) <= 1
    mask = np.ones((height, width), np.uint8)
    assert (put_mask(mask, (canvas_height, canvas_width)) == 1).sum() == at.size[0] * at.size[1]
    back = take_back(
        np.ones((2, canvas_height, canvas_width), np.float32),
        (height, width),
        (canvas_height, canvas_width),
    )
    np.testing.assert_allclose(back, np.ones((2, height, width)), atol=1e-6)


def test_there_and_back_keeps_a_smooth_object():
    y, x = np.mgrid[:574, :765]
    mask = ((y - 300) ** 2 / 200**2 + (x - 350) ** 2 / 150**2 < 1).astype(np.uint8)
    small = put_mask(mask, (192, 256))
    back = take_back((small == 1)[None].astype(np.float32), mask.shape, (192, 256))[0] > 0.5
    assert 2 * (back & (mask == 1)).sum() / (back.sum() + mask.sum()) > 0.99
    image = put_image(np.repeat(mask[..., None] * np.uint8(200), 3, axis=2), (256, 256))
    assert (image[0] == (124, 116, 104)).all()  # padding above the picture


# augmentation and order

ALL = AugmentTable(
    rotation=40, scale=0.2, shift=0.1, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05
)


def test_augmentation_does_not_depend_on_the_batch():
    images, masks = torch.rand(4, 3, 32, 48), torch.randint(0, 2, (4, 32, 48), dtype=torch.uint8)
    together = augment(images, masks, draws(7, 3, [5, 1, 9, 2]), ALL)
    alone = augment(images[2:3], masks[2:3], draws(7, 3, [9]), ALL)
    torch.testing.assert_close(together[0][2:3], alone[0])
    assert torch.equal(together[1][2:3], alone[1])
    assert not torch.equal(draws(7, 3, [9]), draws(7, 4, [9]))
    assert not torch.equal(draws(7, 3, [9]), draws(8, 3, [9]))


def test_flips_are_exact_and_image_and_mask_move_together():
    images = torch.rand(1, 3, 6, 8)
    masks = (images[:, 0] > 0.5).to(torch.uint8)
    uniform = torch.full((1, 10), 0.5)
    for u2, u3, axes in ((0.4, 0.6, [-1]), (0.6, 0.4, [-2]), (0.4, 0.4, [-1, -2])):
        uniform[:, 2], uniform[:, 3] = u2, u3
        moved, labels = augment(images, masks, uniform, AugmentTable())
        torch.testing.assert_close(moved, images.flip(axes))
        assert torch.equal(labels, masks.flip(axes))


def test_a_disc_stays_a_disc_when_turned_on_a_wide_canvas():
    """Normalised coordinates are not square: without the ratio of the sides it would be sheared."""
    y, x = np.mgrid[:64, :128]
    disc = torch.from_numpy(((y - 31.5) ** 2 + (x - 63.5) ** 2 < 20**2).astype(np.uint8))[None]
    uniform = torch.full((1, 10), 0.5)
    uniform[:, 0], uniform[:, 2:4] = 0.9, 0.9
    _, turned = augment(torch.zeros(1, 3, 64, 128), disc, uniform, AugmentTable(rotation=90))
    inside = (turned == 1) & (disc == 1)
    assert float(2 * inside.sum() / ((turned == 1).sum() + disc.sum())) > 0.98


def test_what_is_turned_in_from_outside_is_ignored():
    uniform = torch.full((1, 10), 0.5)
    uniform[:, 0], uniform[:, 2:4] = 1.0, 0.9
    masks = torch.ones(1, 40, 40, dtype=torch.uint8)
    _, turned = augment(torch.zeros(1, 3, 40, 40), masks, uniform, AugmentTable(rotation=45))
    assert turned[0, 0, 0] == IGNORE
    assert turned[0, 20, 20] == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 99), st.integers(1, 3))
def test_epochs_are_stretches_of_shuffled_passes(n, per_epoch, seed, processes):
    orders = [
        EpochOrder(n, seed=seed, per_epoch=per_epoch, rank=r, processes=processes)
        for r in range(processes)
    ]
    length = per_epoch or n
    seen: list[int] = []
    for epoch in range(2 * n):
        for order in orders:
            order.set_epoch(epoch)
        parts = [list(order) for order in orders]
        assert {len(p) for p in parts} == {len(orders[0])}
        seen += [s for group in zip(*parts, strict=True) for s in group]
    if processes == 1:
        assert len(seen) == 2 * n * length
        assert set(np.bincount(seen, minlength=n)) == {2 * length}


@pytest.mark.parametrize(("n", "batch"), [(9, 4), (8, 4), (10, 4), (1, 4), (3, 1), (5, 4)])
def test_no_batch_is_of_one_image_among_others(n, batch):
    """The pooled features of a single image have no variance to normalise by."""
    order = EpochOrder(n, seed=0)
    samples = [torch.zeros(1)] * n
    sizes = [len(b) for b in train_loader(samples, order, batch=batch)]
    assert len(sizes) == steps_per_epoch(order, batch=batch)
    assert sum(sizes) == (n - 1 if (n, batch) in {(9, 4), (5, 4)} else n)


@pytest.mark.parametrize(("warm_up", "steps"), [(0.25, 4), (0.5, 2), (0.1, 10), (0.3, 7)])
def test_any_warm_up_can_be_followed(warm_up, steps):
    recipe = trained_recipe("unet")
    options = recipe.optimiser.model_copy(update={"warm_up": warm_up, "schedule": "one-cycle"})
    recipe = recipe.model_copy(update={"optimiser": options})
    module = Segmenter(torch.nn.Conv2d(3, 1, 1), recipe, LABELS, steps=steps)
    found = module.configure_optimizers()
    for _ in range(steps - 1):
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    assert found["lr_scheduler"]["scheduler"].get_last_lr()[0] < 1e-6


# files


def run_of(recipe: TrainedRecipe) -> Run:
    label = [
        ClassInfo(id=0, name="background", color=(0, 0, 0)),
        ClassInfo(id=1, name="lesion", color=(9, 9, 9)),
    ]
    data = DataInfo(
        dataset="d",
        version="1",
        fold=None,
        content_digest="0",
        n_train=1,
        n_val=1,
        classes=tuple(label),
    )
    env = Environment(
        segbench="",
        python="",
        system="",
        processor="",
        threads=1,
        device="",
        precision="32",
        packages={},
    )
    return Run(recipe=recipe, canvas=(64, 96), channels=1, data=data, environment=env, command="")


@pytest.mark.parametrize("name", ["segnet", "segnet-lesson"])
def test_onnx_gives_what_torch_gives(tmp_path, name):
    recipe = trained_recipe(name)
    torch.manual_seed(0)
    model = make_model(recipe.model.model_copy(update={"options": {"width": 8}}), channels=1).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, which others than we raise at any time
        export_onnx(model, tmp_path / "model.onnx", run_of(recipe))
    images = np.random.default_rng(0).random((3, 3, 64, 96), dtype=np.float32)
    with torch.no_grad():
        mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        expected = torch.sigmoid(model((torch.from_numpy(images) - mean) / deviation)).numpy()
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(session.run(None, {"image": images})[0], expected, atol=1e-4)


def foreign(
    path: Path, *, shape: list[object], last: bool, scale: float, kind: int = 1, keepdims: int = 1
) -> Path:
    """A model of some other library: the channels' mean times a number."""
    import onnx  # noqa: PLC0415
    from onnx import helper  # noqa: PLC0415

    axis = 3 if last else 1
    out = [*shape]
    out[axis] = 1
    if not keepdims:
        del out[axis]
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=keepdims),
        helper.make_node("Mul", ["m", "s"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, out)],
        [helper.make_tensor("axes", 7, [1], [axis]), helper.make_tensor("s", kind, [], [scale])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def test_foreign_onnx_models(tmp_path):
    images = np.random.default_rng(0).random((3, 3, 32, 64), dtype=np.float32)
    grey = images.mean(axis=1, keepdims=True)
    last = OnnxNetwork(
        foreign(tmp_path / "a.onnx", shape=[1, 32, 64, 3], last=True, scale=1),
        options=OnnxOptions(),
    )
    assert last.canvas([(100, 100)]) == (32, 64)
    np.testing.assert_allclose(last(images), grey, rtol=1e-5)
    open_ = foreign(tmp_path / "b.onnx", shape=["n", 3, "h", "w"], last=False, scale=1 / 255)
    network = OnnxNetwork(open_, options=OnnxOptions(values="byte", long_side=128))
    assert network.canvas([(300, 400)]) == (96, 128)
    np.testing.assert_allclose(network(images), grey, rtol=1e-5)
    wild = foreign(tmp_path / "c.onnx", shape=["n", 3, "h", "w"], last=False, scale=7)
    with pytest.raises(SegbenchError, match="add --onnx-output logits"):
        OnnxNetwork(wild, options=OnnxOptions())(images)
    logits = OnnxNetwork(wild, options=OnnxOptions(output="logits"))(images)
    np.testing.assert_allclose(logits, 1 / (1 + np.exp(-7 * grey)), rtol=1e-5)
    classes = [LabelClass(id=i, name=f"c{i}", color=(0, 0, i)) for i in range(3)]
    with pytest.raises(SegbenchError, match="gives 1 channels; the dataset has 3 classes"):
        network.check(classes)
    grey_only = foreign(tmp_path / "d.onnx", shape=["n", 1, 32, 32], last=False, scale=1)
    with pytest.raises(SegbenchError, match="expected one input of RGB"):
        OnnxNetwork(grey_only, options=OnnxOptions())


@pytest.mark.parametrize("n", [1, 3, 4, 5])
def test_an_onnx_model_of_a_fixed_batch_is_filled_up(tmp_path, n):
    images = np.random.default_rng(0).random((n, 3, 32, 64), dtype=np.float32)
    four = foreign(tmp_path / "a.onnx", shape=[4, 3, 32, 64], last=False, scale=1)
    found = OnnxNetwork(four, options=OnnxOptions())(images)
    np.testing.assert_allclose(found, images.mean(axis=1, keepdims=True), rtol=1e-5)


def test_an_onnx_model_that_only_claims_to_be_ours_is_refused(tmp_path):
    """Nothing would be known of the samples that it was trained on."""
    import onnx  # noqa: PLC0415

    path = foreign(tmp_path / "a.onnx", shape=["n", 3, 32, 32], last=False, scale=1)
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key, entry.value = "segbench", '{"predict": 1}'
    onnx.save(model, path)
    with pytest.raises(SegbenchError, match="says in its metadata that segbench wrote it"):
        OnnxNetwork(path, options=OnnxOptions())


def test_a_validation_split_without_objects_chooses_nothing():
    module = Segmenter(torch.nn.Conv2d(3, 1, 1), trained_recipe("unet"), LABELS, steps=1)
    module._dice.append(torch.tensor([[float("nan")]]))
    with pytest.raises(SegbenchError, match="no Dice to choose an epoch by"):
        module.on_validation_epoch_end()


def test_onnx_models_of_other_kinds(tmp_path):
    one_side = foreign(tmp_path / "a.onnx", shape=["n", 3, 48, "w"], last=False, scale=1)
    network = OnnxNetwork(one_side, options=OnnxOptions(long_side=128))
    assert network.canvas([(300, 400)]) == (48, 128)
    network.check(LABELS)
    half = foreign(tmp_path / "b.onnx", shape=["n", 3, 32, 32], last=False, scale=1, kind=10)
    images = np.full((2, 3, 32, 32), 0.25, np.float32)
    np.testing.assert_allclose(OnnxNetwork(half, options=OnnxOptions())(images), 0.25, rtol=1e-2)
    numbers = foreign(tmp_path / "c.onnx", shape=["n", 3, 32, 32], last=False, scale=1, kind=6)
    with pytest.raises(SegbenchError, match=r"takes tensor\(int32\); expected"):
        OnnxNetwork(numbers, options=OnnxOptions())
    pooled = foreign(tmp_path / "d.onnx", shape=["n", 3, 32, 32], last=False, scale=1, keepdims=0)
    with pytest.raises(SegbenchError, match="expected \\(1, classes, 32, 32\\)"):
        OnnxNetwork(pooled, options=OnnxOptions()).check(LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an overflow
        wild = foreign(tmp_path / "e.onnx", shape=["n", 3, "h", "w"], last=False, scale=-900)
        logits = OnnxNetwork(wild, options=OnnxOptions(output="logits"))(images)
    assert (logits == 0).all()


def test_mirror_images_are_averaged():
    class Corner:
        def __call__(self, images):
            out = np.zeros((len(images), 1, 4, 6), np.float32)
            out[:, :, 0, 0] = 1
            return out

    found = apply(Corner(), np.zeros((1, 3, 4, 6), np.float32), tta=True)[0, 0]  # type: ignore[arg-type]
    assert found.sum() == 1
    assert {tuple(p) for p in np.argwhere(found == 0.25)} == {(0, 0), (0, 5), (3, 0), (3, 5)}


def test_only_the_largest_region_of_each_object_class_is_kept():
    classes = [
        LabelClass(id=i, name=name, color=(0, 0, i))
        for i, name in enumerate(["background", "arm", "leg"])
    ]
    ids = np.array(
        [
            [1, 1, 0, 2, 0],
            [0, 0, 1, 2, 2],  # touches the first 1s at a corner only
            [1, 0, 0, 0, 0],
            [1, 1, 0, 0, 2],
        ],
        np.uint8,
    )
    found = largest_components(ids, classes)
    assert found.tolist() == [
        [0, 0, 0, 2, 0],
        [0, 0, 0, 2, 2],
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
    ]
    assert not largest_components(np.zeros((3, 3), np.uint8), classes).any()


def test_weights_come_back_and_damage_is_named(tmp_path):
    model = make_model(ModelTable(family="unet", options={"width": 2}), channels=1)
    save_weights(model, tmp_path / "w.safetensors")
    other = make_model(ModelTable(family="unet", options={"width": 2}), channels=1)
    load_weights(other, tmp_path / "w.safetensors")
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in model.state_dict().items())
    wider = make_model(ModelTable(family="unet", options={"width": 3}), channels=1)
    with pytest.raises(SegbenchError, match="weights of another network"):
        load_weights(wider, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"12345678 nonsense")
    with pytest.raises(SegbenchError, match="no readable weights"):
        load_weights(other, tmp_path / "w.safetensors")


def test_flops_of_one_convolution():
    model = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    assert count_flops(model, (10, 20)) == 2 * 3 * 8 * 9 * 10 * 20


# recipes


def test_recipes_are_strict(tmp_path):
    text = recipe_files()["unet"].read_text()
    (tmp_path / "a.toml").write_text(text.replace("long_side = 256", "long_size = 256"))
    with pytest.raises(
        SegbenchError,
        match=r"unknown key.*input\.long_size \(do you mean long_side\? allowed here: long_side, multiple\)",
    ):
        find_recipe(str(tmp_path / "a.toml"))
    (tmp_path / "b.toml").write_text(text.replace('name = "bce-dice"', 'name = "dise"'))
    with pytest.raises(SegbenchError, match=r'loss\.name.*"tversky".*found "dise"'):
        find_recipe(str(tmp_path / "b.toml"))
    (tmp_path / "c.toml").write_text(text.replace('kind = "trained"', 'kind = "magic"'))
    with pytest.raises(
        SegbenchError, match="kind: expected 'classical' or 'trained', found 'magic'"
    ):
        find_recipe(str(tmp_path / "c.toml"))
    (tmp_path / "d.toml").write_text(
        text.replace('family = "unet"', 'family = "unet"\nencoder = "x"')
    )
    with pytest.raises(SegbenchError, match='belong to family "smp"'):
        find_recipe(str(tmp_path / "d.toml"))
    with pytest.raises(SegbenchError, match="otsu needs no training"):
        trained_recipe("otsu")
    with pytest.raises(SegbenchError, match=r"train\.seed"):
        with_changes(trained_recipe("unet"), seed=-1)
    assert with_changes(trained_recipe("unet"), seed=5, epochs=None).train.seed == 5


def test_probabilities_of_one_and_of_several_channels():
    assert probabilities(torch.zeros(1, 1, 1, 1)).item() == 0.5
    assert torch.allclose(probabilities(torch.zeros(1, 4, 1, 1)), torch.tensor(0.25))


def test_onnxruntime_leaves_our_arithmetic_as_it_was(tmp_path):
    """In a process of its own: only its first session sets the mode of a thread."""
    program = """
import sys
import numpy as np
from segbench.training.networks import OnnxNetwork, OnnxOptions
from pathlib import Path
network = OnnxNetwork(Path(sys.argv[1]), options=OnnxOptions())
network(np.zeros((1, 3, 32, 32), np.float32))
assert np.array([1e-310]) * np.array([0.5]) > 0
"""
    path = foreign(tmp_path / "a.onnx", shape=["n", 3, "h", "w"], last=False, scale=1)
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


def test_denormals_are_zero_inside_and_as_they_were_afterwards():
    fading = torch.full((8,), 1e-30)

    def faded() -> float:
        return float((fading * 1e-10).sum())  # 1e-40: no normal float32

    assert faded() > 0
    with denormals_as_zero():
        assert faded() == 0
        with denormals_as_zero():
            pass
        assert faded() == 0
    assert faded() > 0
