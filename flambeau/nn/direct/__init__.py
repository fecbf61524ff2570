"""Functions of layers as `torch` itself has them: every argument given, numbers for names, all results.

`torch.batch_norm` takes its weights before its running moments, `torch.kl_div` its reduction as 0 (none), 1 (mean) or
2 (sum), `torch.embedding_bag` returns what its backward pass would need too. `nn.functional` computes them all.
"""

from flambeau.nn.direct.branches import cond as cond
from flambeau.nn.direct.branches import while_loop as while_loop
from flambeau.nn.direct.convolution import conv_tbc as conv_tbc
from flambeau.nn.direct.convolution import convolution as convolution
from flambeau.nn.direct.dropout import alpha_dropout as alpha_dropout
from flambeau.nn.direct.dropout import alpha_dropout_ as alpha_dropout_
from flambeau.nn.direct.dropout import dropout as dropout
from flambeau.nn.direct.dropout import dropout_ as dropout_
from flambeau.nn.direct.dropout import feature_alpha_dropout as feature_alpha_dropout
from flambeau.nn.direct.dropout import feature_alpha_dropout_ as feature_alpha_dropout_
from flambeau.nn.direct.dropout import feature_dropout as feature_dropout
from flambeau.nn.direct.dropout import feature_dropout_ as feature_dropout_
from flambeau.nn.direct.dropout import native_dropout as native_dropout
from flambeau.nn.direct.dropout import native_dropout_backward as native_dropout_backward
from flambeau.nn.direct.lookup import _embedding_bag as _embedding_bag
from flambeau.nn.direct.lookup import embedding as embedding
from flambeau.nn.direct.lookup import embedding_bag as embedding_bag
from flambeau.nn.direct.lookup import embedding_renorm_ as embedding_renorm_
from flambeau.nn.direct.loss import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from flambeau.nn.direct.loss import cosine_embedding_loss as cosine_embedding_loss
from flambeau.nn.direct.loss import ctc_loss as ctc_loss
from flambeau.nn.direct.loss import hinge_embedding_loss as hinge_embedding_loss
from flambeau.nn.direct.loss import kl_div as kl_div
from flambeau.nn.direct.loss import margin_ranking_loss as margin_ranking_loss
from flambeau.nn.direct.loss import poisson_nll_loss as poisson_nll_loss
from flambeau.nn.direct.loss import triplet_margin_loss as triplet_margin_loss
from flambeau.nn.direct.normalization import _batch_norm_with_update as _batch_norm_with_update
from flambeau.nn.direct.normalization import (
    _native_batch_norm_legit as _native_batch_norm_legit,
)
from flambeau.nn.direct.normalization import batch_norm as batch_norm
from flambeau.nn.direct.normalization import group_norm as group_norm
from flambeau.nn.direct.normalization import instance_norm as instance_norm
from flambeau.nn.direct.normalization import layer_norm as layer_norm
from flambeau.nn.direct.normalization import native_batch_norm as native_batch_norm
from flambeau.nn.direct.normalization import native_group_norm as native_group_norm
from flambeau.nn.direct.normalization import native_layer_norm as native_layer_norm
from flambeau.nn.direct.norms import frobenius_norm as frobenius_norm
from flambeau.nn.direct.norms import native_norm as native_norm
from flambeau.nn.direct.norms import norm_except_dim as norm_except_dim
from flambeau.nn.direct.norms import nuclear_norm as nuclear_norm
from flambeau.nn.direct.recurrent import gru as gru
from flambeau.nn.direct.recurrent import gru_cell as gru_cell
from flambeau.nn.direct.recurrent import lstm as lstm
from flambeau.nn.direct.recurrent import lstm_cell as lstm_cell
from flambeau.nn.direct.recurrent import rnn_relu as rnn_relu
from flambeau.nn.direct.recurrent import rnn_relu_cell as rnn_relu_cell
from flambeau.nn.direct.recurrent import rnn_tanh as rnn_tanh
from flambeau.nn.direct.recurrent import rnn_tanh_cell as rnn_tanh_cell
from flambeau.nn.direct.resampling import _upsample_bilinear2d_aa as _upsample_bilinear2d_aa
from flambeau.nn.direct.resampling import affine_grid_generator as affine_grid_generator
from flambeau.nn.direct.resampling import grid_sampler as grid_sampler
from flambeau.nn.direct.resampling import grid_sampler_2d as grid_sampler_2d
from flambeau.nn.direct.resampling import grid_sampler_3d as grid_sampler_3d
from flambeau.nn.direct.resampling import max_pool2d_with_indices as max_pool2d_with_indices
from flambeau.nn.direct.resampling import (
    max_pool2d_with_indices_backward as max_pool2d_with_indices_backward,
)
from flambeau.nn.direct.segments import segment_reduce as _segment_reduce
from flambeau.nn.direct.segments import segment_reduce as segment_reduce
from flambeau.nn.direct.softmax import _log_softmax as _log_softmax
from flambeau.nn.direct.softmax import _log_softmax_backward_data as _log_softmax_backward_data
from flambeau.nn.direct.softmax import _safe_softmax as _safe_softmax
from flambeau.nn.direct.softmax import _softmax as _softmax
from flambeau.nn.direct.softmax import _softmax_backward_data as _softmax_backward_data
