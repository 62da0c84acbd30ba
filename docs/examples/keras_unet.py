"""A Keras U-Net trained on a prepared dataset, exported to ONNX, scored by segbench.

pip install segbench tensorflow tf2onnx onnxruntime
python keras_unet.py synthetic-lesions 3          # dataset, epochs
segbench predict keras-unet.onnx --dataset synthetic-lesions --out masks
segbench evaluate --predictions masks --dataset synthetic-lesions
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf
import tf2onnx

import segbench
from segbench.training.canvas import canvas_of, put_image, put_mask

layers = tf.keras.layers


def unet(size: tuple[int, int], width: int = 16) -> tf.keras.Model:
    """Three stages of two convolutions; RGB in [0, 1] in, the object's probability out."""
    x = image = layers.Input((*size, 3))
    across = []
    for stage in range(3):
        x = double(x, width * 2**stage)
        across.append(x)
        x = layers.MaxPooling2D()(x)
    x = double(x, width * 8)
    for stage in reversed(range(3)):
        x = layers.Conv2DTranspose(width * 2**stage, 2, strides=2)(x)
        x = double(layers.Concatenate()([x, across[stage]]), width * 2**stage)
    return tf.keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))


def double(x: tf.Tensor, width: int) -> tf.Tensor:
    """Two convolutions with batch normalisation."""
    for _ in range(2):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return x


def main(dataset: str, epochs: int) -> None:
    """Train on the train split and export."""
    samples = list(segbench.load(dataset, "train"))
    canvas = canvas_of({s.mask.shape for s in samples}, long_side=128, multiple=32)
    images = np.stack([put_image(s.image, canvas) for s in samples]).astype(np.float32) / 255
    masks = np.stack([put_mask(s.mask, canvas) for s in samples])
    model = unet(canvas)
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-3), loss="binary_crossentropy")
    valid = (masks != 255).astype(np.float32)[..., np.newaxis]  # noqa: PLR2004  ignored, padding
    truth = (masks == 1).astype(np.float32)[..., np.newaxis]
    model.fit(images, truth, sample_weight=valid, batch_size=4, epochs=epochs)
    signature = [tf.TensorSpec((None, *canvas, 3), tf.float32, name="image")]
    tf2onnx.convert.from_keras(model, signature, opset=17, output_path="keras-unet.onnx")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
