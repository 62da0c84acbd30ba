"""Networks: models, losses, the training run, prediction and ONNX. Only this room imports torch."""
