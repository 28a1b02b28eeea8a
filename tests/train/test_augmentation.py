"""Augmentation of pictures: what each change does to a batch, and that seed, epoch and position decide all of it."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from lamina.config import TrainingError, parse
from lamina.schema import Batch, Mixed
from lamina.train import augmentation as augment
from lamina.train import image_augmentation, settings

NAMES = [cls.model_fields["kind"].default for cls in get_args(get_args(augment.Step)[0])]
MIXED = ("mixup", "cutmix")
ROWS = 64

each = pytest.mark.parametrize("name", NAMES)


def steps(*said: Any) -> tuple[Any, ...]:
    faults: list[str] = []
    cfg = parse(settings.Config, {"augment": list(said)}, "train", faults)
    assert cfg is not None, faults
    return cfg.augment


def batch(height: int = 12, width: int = 10, channels: int = 3) -> Batch:
    rng = np.random.default_rng(0)
    made = rng.integers(0, 256, (ROWS, height, width, channels), dtype=np.uint8)
    return Batch({"image0": torch.from_numpy(made)}, torch.arange(ROWS))


def changed(*said: Any, of: Batch | None = None, seed: tuple[int, int, int] = (0, 1, 2)) -> tuple[Tensor, Any]:
    found = image_augmentation.augment(of or batch(), steps(*said), seed)
    return found.inputs["image0"], found.target


@each
def test_pictures_keep_their_shape_and_range_and_most_are_changed(name):
    before = batch().inputs["image0"].float()
    after, _ = changed(name)
    assert after.shape == before.shape
    assert after.min() >= 0 and after.max() <= 255
    moved = (after.float() - before).flatten(1).abs().amax(1) > 0.5
    assert moved.float().mean() > 0.1


@each
def test_seed_epoch_and_position_decide_the_pictures(name):
    first, again = changed(name), changed(name)
    assert torch.equal(first[0], again[0])
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3)):
        assert not torch.equal(first[0], changed(name, seed=other)[0]), other


@each
def test_other_inputs_and_labels_are_left_alone_and_every_picture_column_is_changed(name):
    both = {"image0": batch().inputs["image0"], "image2": batch().inputs["image0"], "number": torch.ones(ROWS, 2)}
    mixed = Batch(both, torch.arange(ROWS))
    if name in MIXED:
        with pytest.raises(TrainingError, match=r"train.augment: mixup and cutmix need a table of one picture column"):
            image_augmentation.augment(mixed, steps(name), (0, 0, 0))
        assert isinstance(changed(name)[1], Mixed)
        return
    found = image_augmentation.augment(mixed, steps(name), (0, 0, 0))
    assert torch.equal(found.inputs["number"], both["number"])
    assert torch.equal(found.target, mixed.target)
    assert all((found.inputs[image] != both[image]).any() for image in ("image0", "image2"))


@pytest.mark.parametrize(("name", "dim"), [("flip", 2), ("flip_vertical", 1)])
def test_a_flip_mirrors_about_half_and_leaves_the_rest_as_it_is(name, dim):
    before = batch().inputs["image0"].float()
    after, _ = changed(name)
    same = (after - before).flatten(1).abs().amax(1) < 0.1
    mirrored = (after - before.flip(dim)).flatten(1).abs().amax(1) < 0.1
    assert (same ^ mirrored).all()
    assert 0.25 < mirrored.float().mean() < 0.75


def test_a_shift_moves_whole_pixels_no_further_than_asked():
    before = batch(20, 20, 1).inputs["image0"][..., 0].float()
    after = changed({"kind": "shift", "pixels": 2}, of=batch(20, 20, 1))[0][..., 0]
    inner = after[:, 4:16, 4:16]
    errors = [
        (inner - before[:, 4 + y : 16 + y, 4 + x : 16 + x]).flatten(1).abs().amax(1)
        for y in range(-2, 3)
        for x in range(-2, 3)
    ]
    best, which = torch.stack(errors).min(0)
    assert best.max() < 0.1
    assert len(which.unique()) > 10, "both directions are drawn by themselves"


def test_a_turn_keeps_the_middle_and_no_more_than_the_angle():
    spot = torch.zeros(ROWS, 41, 41, 1, dtype=torch.uint8)
    spot[:, 4:7, 19:22] = 255  # 15 to 16 pixels above the middle
    after = changed({"kind": "rotate", "degrees": 30}, of=Batch({"image0": spot}, torch.arange(ROWS)))[0][..., 0]
    rows, columns = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(41.0) - 20, indexing="ij")
    mass = after.sum((1, 2))
    y, x = (after * rows).sum((1, 2)) / mass, (after * columns).sum((1, 2)) / mass
    angle = torch.atan2(x, -y) * 180 / torch.pi
    assert ((x**2 + y**2).sqrt() - 15).abs().max() < 0.5
    assert 20 < angle.abs().max() < 31 and (angle > 5).any() and (angle < -5).any()


def test_colours_change_together_and_grey_pictures_stay_grey():
    grey = batch(channels=1).inputs["image0"].expand(-1, -1, -1, 3)
    after, _ = changed("colour", of=Batch({"image0": grey}, torch.arange(ROWS)))
    assert (after - after.mean(3, keepdim=True)).abs().max() < 0.01


def test_erasing_greys_a_square_of_the_share_asked():
    white = torch.full((ROWS, 20, 20, 1), 255, dtype=torch.uint8)
    after, _ = changed({"kind": "erase", "share": 0.5, "size": 0.4}, of=Batch({"image0": white}, torch.arange(ROWS)))
    holes = (after == 128).flatten(1).sum(1)
    assert 0.25 < (holes > 0).float().mean() < 0.75
    assert holes.max() <= 9 * 9


def test_mixing_adds_two_pictures_in_the_share_of_their_labels():
    before = batch().inputs["image0"].float()
    after, target = changed("mixup")
    wanted = before * target.share + before[target.second] * (1 - target.share)
    assert torch.allclose(after, wanted, atol=0.01)
    assert torch.equal(target.first, torch.arange(ROWS))


def test_cutmix_pastes_one_rectangle_whose_area_is_the_share_of_the_other_label():
    before = batch(32, 32).inputs["image0"].float()
    after, target = changed("cutmix", of=batch(32, 32))
    own, other = (after == before).all(3), (after == before[target.second]).all(3)
    assert (own | other).all()
    rows = target.second != target.first
    assert (~own[rows]).float().mean().item() == pytest.approx(1 - target.share, abs=0.02)


def test_mixed_labels_are_weighed_in_the_loss():
    from lamina.losses import loss
    from lamina.schema import Output

    for output, raw, labels in (
        (Output(head="logits", size=3, loss="cross_entropy"), torch.randn(4, 3), torch.tensor([0, 1, 2, 0])),
        (
            Output(head="logits", size=1, loss="binary_cross_entropy"),
            torch.randn(4, 1),
            torch.tensor([0.0, 1.0, 1.0, 0.0]),
        ),
        (Output(head="value", size=1, loss="mse"), torch.randn(4, 1), torch.randn(4)),
    ):
        module, others = loss(output), labels.flip(0)
        mixed = module(raw, Mixed(labels, others, 0.3))
        torch.testing.assert_close(mixed, 0.3 * module(raw, labels) + 0.7 * module(raw, others))


def test_augmentation_without_pictures_is_refused_in_a_sentence():
    with pytest.raises(TrainingError, match=r"train.augment: the table has no pictures"):
        image_augmentation.augment(Batch({"number": torch.zeros(4, 2)}, torch.zeros(4)), steps("flip"), (0, 0, 0))


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("flop", "train.augment.0"),
        ({"kind": "rotate", "degrees": 0}, "train.augment.0.degrees"),
        ({"kind": "rotate", "degree": 3}, "Did you mean 'degrees'?"),
        ({"kind": "erase", "share": 2}, "train.augment.0.share"),
    ],
)
def test_a_wrong_change_is_a_sentence_that_says_where(said, word):
    faults: list[str] = []
    assert parse(settings.Config, {"augment": [said]}, "train", faults) is None
    assert any(word in fault for fault in faults), faults
