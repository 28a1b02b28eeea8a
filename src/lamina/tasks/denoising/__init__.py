"""Images, recordings or a table of measurements without their noise.

What serves: `state` (what was learned), `task` (what a network is built for and what can be asked), `operation`
(`predict`, and `denoise`, which gives an image as it is) and what these call: `image_files`, `recordings`, `tiling`.
What trains and evaluates: `experiment`, with `collection`, `training_windows`, `evaluation`, `baselines`, `report`.
"""

from lamina.tasks.denoising.state import Config, State
from lamina.tasks.denoising.task import Task

__all__ = ["Config", "State", "Task"]
