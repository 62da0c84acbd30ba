"""Lesson 1: find the lesion. Encoder, decoder, one-hot targets, and why the loss matters.

    python docs/lessons/lesion_segmentation.py            # synthetic-lesions, five minutes on a CPU
    python docs/lessons/lesion_segmentation.py --dataset ph2 --epochs 60 --width 16

The course notebook trains a SegNet on PH2 for 30 epochs and looks at pictures. Here the same
network is trained with several losses, and every one is scored on images that it never saw.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

import segbench
from segbench.catalog.recipes import AugmentTable, LossTable, ModelTable
from segbench.masks.encode import encode_mask
from segbench.masks.prepared import open_prepared
from segbench.training.augment import augment, draws
from segbench.training.canvas import canvas_of, put_image, put_mask, take_back
from segbench.training.losses import make_loss, probabilities
from segbench.training.models import make_model, normalise
from segbench.training.predict import class_ids

# 1. The data. `load` reads one sample at a time: image HxWx3, mask HxW of class ids. The network
#    wants all of one size: we scale and pad, because squashing turns round lesions into eggs.


def load(dataset: str, split: str, canvas: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, 3, H, W) in [0, 1] and masks (n, H, W); 255 is padding, which no loss counts."""
    samples = list(segbench.load(dataset, split))
    images = [torch.from_numpy(put_image(s.image, canvas)).permute(2, 0, 1) for s in samples]
    masks = [torch.from_numpy(put_mask(s.mask, canvas)) for s in samples]
    return torch.stack(images).float() / 255, torch.stack(masks)


# 2. The network. The encoder halves the picture four times and doubles the channels: it sees more
#    and more around each place, and forgets where exactly. The decoder goes back up. SegNet
#    enlarges (the notebook bilinearly, the paper by remembering where each maximum lay); U-Net also
#    hands the encoder's maps across, so that edges come back sharp.


def train(
    images: torch.Tensor, masks: torch.Tensor, *, family: str, loss: str, epochs: int, width: int
) -> torch.nn.Module:
    """One network, from scratch."""
    torch.manual_seed(0)
    # 3. The target. For one kind of object a single channel and its sigmoid are enough. One-hot
    #    targets with a softmax (cross-entropy, two channels) say the same with twice the weights in
    #    the last layer, and go on to more classes.
    channels = 2 if loss == "cross-entropy" else 1
    model = make_model(ModelTable(family=family, options={"width": width}), channels=channels)
    criterion = make_loss(LossTable(name=loss))
    steps = epochs * -(-len(images) // 8)
    optimiser = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.005, total_steps=steps)
    changes = AugmentTable(rotation=45, scale=0.15, brightness=0.15)
    for epoch in range(epochs):
        for chosen in torch.randperm(len(images)).split(8):
            x, t = augment(images[chosen], masks[chosen], draws(0, epoch, chosen), changes)
            # 4. The loss takes logits. BCE with logits is one formula for sigmoid and logarithm
            #    that never overflows. The notebook applies the sigmoid in the network and again in
            #    the loss ("double-sigmoid"): probabilities are squeezed into [0.5, 0.73], the loss
            #    cannot fall below 0.69 on background, and its gradient is a quarter or less. MSE is
            #    blind where it matters: a pixel that is surely wrong has a gradient near zero.
            value = criterion(model(normalise(x)), t)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


# 5. The score. Masks go back to the images' own size, into files, and to the evaluator: anyone
#    else's masks take the same way.


def score(model: torch.nn.Module, dataset: str, canvas: tuple[int, int], out: Path) -> str:
    """Dice and IoU on the test split, with their intervals."""
    prepared = open_prepared(dataset)
    out.mkdir()
    for row in prepared.select("test"):
        image = torch.from_numpy(put_image(prepared.read_image(row), canvas))
        with torch.no_grad():
            x = normalise(image.permute(2, 0, 1)[None].float() / 255)
            found = probabilities(model(x))[0].numpy()
        ids = class_ids(take_back(found, row.size, canvas), prepared.classes)
        (out / f"{row.id}.png").write_bytes(encode_mask(ids, prepared.classes))
    result = segbench.evaluate(out, dataset=dataset)
    dice, iou = result.score("dice"), result.score("iou")
    return f"{dice.value:.3f} [{dice.ci95[0]:.3f}, {dice.ci95[1]:.3f}] | {iou.value:.3f}"


def main() -> None:
    """Train each, score each, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--dataset", default="synthetic-lesions")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--width", type=int, default=8, help="channels of the first stage")
    parser.add_argument("--long-side", type=int, default=128)
    arguments = parser.parse_args()
    sizes = {row.size for row in open_prepared(arguments.dataset).select("train")}
    canvas = canvas_of(sizes, long_side=arguments.long_side, multiple=32)
    images, masks = load(arguments.dataset, "train", canvas)
    print("| network | loss | Dice on test | IoU |\n| --- | --- | --- | --- |")
    cases = [
        ("segnet-lesson", "double-sigmoid"),
        ("segnet-lesson", "mse"),
        ("segnet-lesson", "bce"),
        ("segnet-lesson", "cross-entropy"),
        ("unet", "bce"),
        ("unet", "bce-dice"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for family, loss in cases:
            model = train(
                images,
                masks,
                family=family,
                loss=loss,
                epochs=arguments.epochs,
                width=arguments.width,
            )
            line = score(model, arguments.dataset, canvas, Path(folder) / f"{family}-{loss}")
            print(f"| {family} | {loss} | {line} |", flush=True)


if __name__ == "__main__":
    main()
