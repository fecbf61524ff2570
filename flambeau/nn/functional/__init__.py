"""The functions behind the layers: `torch.nn.functional`.

Convolutions, plain pooling, the core losses and the activations with kernels of their own are
operators, defined in `flambeau.ops`; what stands in this folder are compositions of operators.
"""

from flambeau.nn.functional.activation import celu as celu
from flambeau.nn.functional.activation import celu_ as celu_
from flambeau.nn.functional.activation import elu as elu
from flambeau.nn.functional.activation import elu_ as elu_
from flambeau.nn.functional.activation import gelu as gelu
from flambeau.nn.functional.activation import glu as glu
from flambeau.nn.functional.activation import gumbel_softmax as gumbel_softmax
from flambeau.nn.functional.activation import hardsigmoid as hardsigmoid
from flambeau.nn.functional.activation import hardswish as hardswish
from flambeau.nn.functional.activation import hardtanh as hardtanh
from flambeau.nn.functional.activation import hardtanh_ as hardtanh_
from flambeau.nn.functional.activation import leaky_relu as leaky_relu
from flambeau.nn.functional.activation import leaky_relu_ as leaky_relu_
from flambeau.nn.functional.activation import logsigmoid as logsigmoid
from flambeau.nn.functional.activation import mish as mish
from flambeau.nn.functional.activation import relu as relu
from flambeau.nn.functional.activation import relu6 as relu6
from flambeau.nn.functional.activation import relu_ as relu_
from flambeau.nn.functional.activation import rrelu as rrelu
from flambeau.nn.functional.activation import rrelu_ as rrelu_
from flambeau.nn.functional.activation import selu as selu
from flambeau.nn.functional.activation import selu_ as selu_
from flambeau.nn.functional.activation import sigmoid as sigmoid
from flambeau.nn.functional.activation import silu as silu
from flambeau.nn.functional.activation import softplus as softplus
from flambeau.nn.functional.activation import softshrink as softshrink
from flambeau.nn.functional.activation import softsign as softsign
from flambeau.nn.functional.activation import tanh as tanh
from flambeau.nn.functional.activation import tanhshrink as tanhshrink
from flambeau.nn.functional.activation import threshold as threshold
from flambeau.nn.functional.activation import threshold_ as threshold_
from flambeau.nn.functional.attention import (
    multi_head_attention_forward as multi_head_attention_forward,
)
from flambeau.nn.functional.attention import (
    scaled_dot_product_attention as scaled_dot_product_attention,
)
from flambeau.nn.functional.ctc import ctc_loss as ctc_loss
from flambeau.nn.functional.distance import cosine_similarity as cosine_similarity
from flambeau.nn.functional.distance import normalize as normalize
from flambeau.nn.functional.distance import pairwise_distance as pairwise_distance
from flambeau.nn.functional.distance import pdist as pdist
from flambeau.nn.functional.dropout import alpha_dropout as alpha_dropout
from flambeau.nn.functional.dropout import dropout1d as dropout1d
from flambeau.nn.functional.dropout import dropout2d as dropout2d
from flambeau.nn.functional.dropout import dropout3d as dropout3d
from flambeau.nn.functional.dropout import feature_alpha_dropout as feature_alpha_dropout
from flambeau.nn.functional.embedding import embedding as embedding
from flambeau.nn.functional.embedding import embedding_bag as embedding_bag
from flambeau.nn.functional.embedding import one_hot as one_hot
from flambeau.nn.functional.fold import fold as fold
from flambeau.nn.functional.fold import unfold as unfold
from flambeau.nn.functional.grid import affine_grid as affine_grid
from flambeau.nn.functional.grid import grid_sample as grid_sample
from flambeau.nn.functional.grouped import grouped_mm as grouped_mm
from flambeau.nn.functional.linear import bilinear as bilinear
from flambeau.nn.functional.linear import conv_tbc as conv_tbc
from flambeau.nn.functional.linear import linear_cross_entropy as linear_cross_entropy
from flambeau.nn.functional.loss import binary_cross_entropy as binary_cross_entropy
from flambeau.nn.functional.loss import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from flambeau.nn.functional.loss import cosine_embedding_loss as cosine_embedding_loss
from flambeau.nn.functional.loss import gaussian_nll_loss as gaussian_nll_loss
from flambeau.nn.functional.loss import hinge_embedding_loss as hinge_embedding_loss
from flambeau.nn.functional.loss import huber_loss as huber_loss
from flambeau.nn.functional.loss import kl_div as kl_div
from flambeau.nn.functional.loss import l1_loss as l1_loss
from flambeau.nn.functional.loss import margin_ranking_loss as margin_ranking_loss
from flambeau.nn.functional.loss import multi_margin_loss as multi_margin_loss
from flambeau.nn.functional.loss import multilabel_margin_loss as multilabel_margin_loss
from flambeau.nn.functional.loss import (
    multilabel_soft_margin_loss as multilabel_soft_margin_loss,
)
from flambeau.nn.functional.loss import poisson_nll_loss as poisson_nll_loss
from flambeau.nn.functional.loss import smooth_l1_loss as smooth_l1_loss
from flambeau.nn.functional.loss import soft_margin_loss as soft_margin_loss
from flambeau.nn.functional.loss import triplet_margin_loss as triplet_margin_loss
from flambeau.nn.functional.loss import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from flambeau.nn.functional.normalization import batch_norm as batch_norm
from flambeau.nn.functional.normalization import group_norm as group_norm
from flambeau.nn.functional.normalization import instance_norm as instance_norm
from flambeau.nn.functional.normalization import layer_norm as layer_norm
from flambeau.nn.functional.normalization import local_response_norm as local_response_norm
from flambeau.nn.functional.normalization import rms_norm as rms_norm
from flambeau.nn.functional.padding import pad as pad
from flambeau.nn.functional.pooling import adaptive_avg_pool1d as adaptive_avg_pool1d
from flambeau.nn.functional.pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from flambeau.nn.functional.pooling import adaptive_avg_pool3d as adaptive_avg_pool3d
from flambeau.nn.functional.pooling import adaptive_max_pool1d as adaptive_max_pool1d
from flambeau.nn.functional.pooling import (
    adaptive_max_pool1d_with_indices as adaptive_max_pool1d_with_indices,
)
from flambeau.nn.functional.pooling import adaptive_max_pool2d as adaptive_max_pool2d
from flambeau.nn.functional.pooling import (
    adaptive_max_pool2d_with_indices as adaptive_max_pool2d_with_indices,
)
from flambeau.nn.functional.pooling import adaptive_max_pool3d as adaptive_max_pool3d
from flambeau.nn.functional.pooling import (
    adaptive_max_pool3d_with_indices as adaptive_max_pool3d_with_indices,
)
from flambeau.nn.functional.pooling import fractional_max_pool2d as fractional_max_pool2d
from flambeau.nn.functional.pooling import (
    fractional_max_pool2d_with_indices as fractional_max_pool2d_with_indices,
)
from flambeau.nn.functional.pooling import fractional_max_pool3d as fractional_max_pool3d
from flambeau.nn.functional.pooling import (
    fractional_max_pool3d_with_indices as fractional_max_pool3d_with_indices,
)
from flambeau.nn.functional.pooling import lp_pool1d as lp_pool1d
from flambeau.nn.functional.pooling import lp_pool2d as lp_pool2d
from flambeau.nn.functional.pooling import lp_pool3d as lp_pool3d
from flambeau.nn.functional.pooling import max_pool1d_with_indices as max_pool1d_with_indices
from flambeau.nn.functional.pooling import max_pool2d_with_indices as max_pool2d_with_indices
from flambeau.nn.functional.pooling import max_pool3d_with_indices as max_pool3d_with_indices
from flambeau.nn.functional.pooling import max_unpool1d as max_unpool1d
from flambeau.nn.functional.pooling import max_unpool2d as max_unpool2d
from flambeau.nn.functional.pooling import max_unpool3d as max_unpool3d
from flambeau.nn.functional.resize import interpolate as interpolate
from flambeau.nn.functional.resize import upsample as upsample
from flambeau.nn.functional.resize import upsample_bilinear as upsample_bilinear
from flambeau.nn.functional.resize import upsample_nearest as upsample_nearest
from flambeau.nn.functional.shuffle import channel_shuffle as channel_shuffle
from flambeau.nn.functional.shuffle import channel_shuffle as native_channel_shuffle
from flambeau.nn.functional.shuffle import pixel_shuffle as pixel_shuffle
from flambeau.nn.functional.shuffle import pixel_unshuffle as pixel_unshuffle
from flambeau.ops.activation import hardshrink as hardshrink
from flambeau.ops.activation import prelu as prelu
from flambeau.ops.conv import conv1d as conv1d
from flambeau.ops.conv import conv2d as conv2d
from flambeau.ops.conv import conv3d as conv3d
from flambeau.ops.conv import conv_transpose1d as conv_transpose1d
from flambeau.ops.conv import conv_transpose2d as conv_transpose2d
from flambeau.ops.conv import conv_transpose3d as conv_transpose3d
from flambeau.ops.loss import cross_entropy as cross_entropy
from flambeau.ops.loss import mse_loss as mse_loss
from flambeau.ops.loss import nll_loss as nll_loss
from flambeau.ops.loss import reduction_of as legacy_reduction
from flambeau.ops.matmul import linear as linear
from flambeau.ops.node_names import NODE_NAMES as _NODE_NAMES
from flambeau.ops.node_names import naming_nodes as _naming_nodes
from flambeau.ops.pool import avg_pool1d as avg_pool1d
from flambeau.ops.pool import avg_pool2d as avg_pool2d
from flambeau.ops.pool import avg_pool3d as avg_pool3d
from flambeau.ops.pool import max_pool1d as max_pool1d
from flambeau.ops.pool import max_pool2d as max_pool2d
from flambeau.ops.pool import max_pool3d as max_pool3d
from flambeau.ops.random import dropout as dropout
from flambeau.ops.reduce import log_softmax as log_softmax
from flambeau.ops.reduce import softmax as softmax
from flambeau.ops.reduce import softmin as softmin

# Nodes print under PyTorch's names.
for _name, _function in list(globals().items()):
    if _name in _NODE_NAMES and getattr(_function, "__module__", "").startswith(__name__):
        globals()[_name] = _naming_nodes(_function, _name)
del _name, _function
