"""Pictures of results: key points, boxes, masks and flow on images, grids of images, image files."""

from flambeau.vision.utils.drawing import draw_bounding_boxes, draw_keypoints
from flambeau.vision.utils.grid import make_grid, save_image
from flambeau.vision.utils.on_tensors import draw_segmentation_masks, flow_to_image
