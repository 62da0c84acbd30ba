"""The mask format: label maps on disk, prepared datasets, and predictions in every form.

Conventions: a label map is an HxW uint8 array whose value IS the class id (0..254); 255 means
"ignore" in a reference. Images are HxWx3 uint8, RGB. Sizes are `(height, width)` in pixels.
"""
