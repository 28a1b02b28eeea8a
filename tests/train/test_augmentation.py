"""Augmentation of images: what each change does to a batch, and that seed, epoch and position decide all of it."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from lamina.config import RecipeError, TrainingError, parse
from lamina.schema import Batch, Mixed
from lamina.train import augmentation, image_augmentation, settings
from lamina.train.fit import Hooks, fit
from lamina.train.settings import Examples

NAMES = [cls.model_fields["kind"].default for cls in get_args(get_args(augmentation.Step)[0])]
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
    result = rng.integers(0, 256, (ROWS, height, width, channels), dtype=np.uint8)
    return Batch({"image0": torch.from_numpy(result)}, torch.arange(ROWS))


def changed(*said: Any, of: Batch | None = None, seed: tuple[int, int, int] = (0, 1, 2)) -> tuple[Tensor, Any]:
    result = image_augmentation.augment(of or batch(), steps(*said), seed)
    return result.inputs["image0"], result.target


@each
def test_images_keep_their_shape_and_range_and_most_are_changed(name):
    before = batch().inputs["image0"].float()
    after, _ = changed(name)
    assert after.shape == before.shape
    assert after.min() >= 0 and after.max() <= 255
    moved = (after.float() - before).flatten(1).abs().amax(1) > 0.5
    assert moved.float().mean() > 0.1


@each
def test_seed_epoch_and_position_decide_the_images(name):
    first, again = changed(name), changed(name)
    assert torch.equal(first[0], again[0])
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3)):
        assert not torch.equal(first[0], changed(name, seed=other)[0]), other


@each
def test_other_inputs_and_labels_are_left_alone_and_every_image_column_is_changed(name):
    both = {"image0": batch().inputs["image0"], "image2": batch().inputs["image0"], "number": torch.ones(ROWS, 2)}
    mixed = Batch(both, torch.arange(ROWS))
    if name in MIXED:
        with pytest.raises(TrainingError, match=r"train.augment: mixup and cutmix need a table of one image column"):
            image_augmentation.augment(mixed, steps(name), (0, 0, 0))
        assert isinstance(changed(name)[1], Mixed)
        return
    result = image_augmentation.augment(mixed, steps(name), (0, 0, 0))
    assert torch.equal(result.inputs["number"], both["number"])
    assert torch.equal(result.target, mixed.target)
    assert all((result.inputs[image] != both[image]).any() for image in ("image0", "image2"))


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


def test_colours_change_together_and_grey_images_stay_grey():
    grey = batch(channels=1).inputs["image0"].expand(-1, -1, -1, 3)
    after, _ = changed("colour", of=Batch({"image0": grey}, torch.arange(ROWS)))
    assert (after - after.mean(3, keepdim=True)).abs().max() < 0.01


def test_erasing_greys_a_square_of_the_share_asked():
    white = torch.full((ROWS, 20, 20, 1), 255, dtype=torch.uint8)
    after, _ = changed({"kind": "erase", "share": 0.5, "size": 0.4}, of=Batch({"image0": white}, torch.arange(ROWS)))
    holes = (after == 128).flatten(1).sum(1)
    assert 0.25 < (holes > 0).float().mean() < 0.75
    assert holes.max() <= 9 * 9


def test_mixing_adds_two_images_in_the_share_of_their_labels():
    before = batch().inputs["image0"].float()
    after, target = changed("mixup")
    expected = before * target.share + before[target.second] * (1 - target.share)
    assert torch.allclose(after, expected, atol=0.01)
    assert torch.equal(target.first, torch.arange(ROWS))


def test_cutmix_pastes_one_rectangle_whose_area_is_the_share_of_the_other_label():
    before = batch(32, 32).inputs["image0"].float()
    after, target = changed("cutmix", of=batch(32, 32))
    own, other = (after == before).all(3), (after == before[target.second]).all(3)
    assert (own | other).all()
    rows = target.second != target.first
    assert (~own[rows]).float().mean().item() == pytest.approx(1 - target.share, abs=0.02)


# targets that move with their images

MOVING = [*augmentation.GEOMETRY, augmentation.TrivialAugment]
ALL = ["flip", "flip_vertical", {"kind": "shift", "pixels": 5}, {"kind": "rotate", "degrees": 40}, "scale", "crop"]


def drawn(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Black images with one white rectangle, and its corners (rows, 4, 2) as x and y in pixels."""
    rng = np.random.default_rng(0)
    images, corners = np.zeros((ROWS, height, width, 1), np.uint8), np.zeros((ROWS, 4, 2), np.float32)
    for row in range(ROWS):
        tall, wide = rng.integers(6, height // 3), rng.integers(6, width // 3)
        top, left = rng.integers(height // 4, height * 3 // 4 - tall), rng.integers(width // 4, width * 3 // 4 - wide)
        images[row, top : top + tall, left : left + wide] = 255
        corners[row] = [(x, y) for y in (top, top + tall) for x in (left, left + wide)]
    return torch.from_numpy(images), torch.from_numpy(corners)


def follow(corners: Tensor, affine: Tensor, size: tuple[int, int]) -> Tensor:
    """Corners where they are now."""
    assert affine.shape == (len(corners), 2, 3) and size == (48, 36)
    return (affine[:, None, :, :2] @ corners[..., None])[..., 0] + affine[:, None, :, 2]


@pytest.mark.parametrize("kind", [*(cls.model_fields["kind"].default for cls in MOVING), "all"])
def test_corners_that_move_with_an_image_still_enclose_what_is_drawn(kind):
    images, corners = drawn(48, 36)
    said = steps(*(ALL if kind == "all" else [kind]))
    after = image_augmentation.augment(Batch({"image0": images}, corners), said, (0, 1, 2), follow)
    plain = image_augmentation.augment(Batch({"image0": images}, corners), said, (0, 1, 2))
    assert torch.equal(plain.inputs["image0"], after.inputs["image0"]) and torch.equal(plain.target, corners)
    y, x = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(36) + 0.5, indexing="ij")
    moved = 0
    for image, four, before in zip(after.inputs["image0"][..., 0], after.target, corners, strict=True):
        origin, across, down = four[0], four[1] - four[0], four[2] - four[0]
        inverse = torch.linalg.inv(torch.stack([across, down], 1))
        place = torch.stack([x, y], -1) - origin  # of each pixel, in sides of the rectangle
        share = (inverse @ place[..., None])[..., 0]
        margin = 1.5 / torch.stack([across.norm(), down.norm()])
        inside, near = (
            ((share > margin) & (share < 1 - margin)).all(-1),
            ((share > -margin) & (share < 1 + margin)).all(-1),
        )
        if kind == "trivial_augment" and (image.max() - image.min() < 50 or image[0, 0] > 100):
            continue  # too dark, or turned to its negative
        middle = (image.max() + image.min()) / 2
        assert (image[inside] > middle).all()
        assert (image[~near] < middle).all()
        moved += not torch.allclose(four, before)
    assert moved > 10


def test_targets_that_move_or_are_ragged_are_not_mixed_and_follow_one_image():
    images, corners = (values.numpy() for values in drawn(48, 36))
    one, many = Examples({"image0": images}, corners), Examples({"image0": images}, corners, np.full(ROWS, 4))
    for name in MIXED:
        for examples, moves in ((one, True), (many, False)):
            with pytest.raises(RecipeError, match=r"train.augment: mixup and cutmix .*Leave them out"):
                image_augmentation.check(examples, steps(name), moves)
        image_augmentation.check(one, steps(name), moves=False)
    two = Examples({"image0": images, "image1": images}, corners)
    with pytest.raises(RecipeError, match=r"train.augment: .*several images.*Use one column"):
        image_augmentation.check(two, steps("flip"), moves=True)


def test_training_moves_targets_by_the_hook():
    sizes: list[tuple[int, int]] = []

    def moved(target: Tensor, affine: Tensor, size: tuple[int, int]) -> Tensor:
        sizes.append(size)
        return follow(target, affine, size)

    class Net(torch.nn.Module):
        parts = ("",)

        def __init__(self) -> None:
            super().__init__()
            self.place = torch.nn.Parameter(torch.zeros(4, 2))

        def forward(self, inputs: Any) -> dict[str, Tensor]:
            return {"target": self.place.expand(len(inputs["image0"]), 4, 2)}

        def losses(self, batch: Batch) -> Any:
            yield "", (self(batch.inputs)["target"] - batch.target).square().mean()

    images, corners = (values.numpy() for values in drawn(48, 36))
    train = Examples({"image0": images}, corners)
    cfg = settings.Config(epochs=2, batch_size=16, device="cpu", augment=steps("flip", "crop"))
    hooks = Hooks(lambda raw, target: {"loss": 1.0, "score": 1.0}, target_transform=moved)
    list(fit(Net(), train, train, cfg, hooks))
    assert sizes == [(48, 36)] * 8


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


def test_augmentation_without_images_is_refused_in_a_sentence():
    with pytest.raises(TrainingError, match=r"train.augment: the table has no images"):
        image_augmentation.augment(Batch({"number": torch.zeros(4, 2)}, torch.zeros(4)), steps("flip"), (0, 0, 0))


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("flop", "train.augment.0"),
        ({"kind": "rotate", "degrees": 0}, "train.augment.0.degrees"),
        ({"kind": "rotate", "degree": 3}, "Did you mean 'degrees'?"),
        ({"kind": "erase", "share": 2}, "train.augment.0.share"),
    ],
)
def test_a_wrong_change_is_a_sentence_that_says_where(sentence, word):
    faults: list[str] = []
    assert parse(settings.Config, {"augment": [sentence]}, "train", faults) is None
    assert any(word in fault for fault in faults), faults
