"""Mean absolute error: raw (..., rows, 1), target (rows,)."""

import torch.nn.functional as F

from lamina.losses._pointwise import PointwiseLoss


class Loss(PointwiseLoss):
    function = staticmethod(F.l1_loss)
