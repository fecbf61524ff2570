"""Written by tools/write_stubs.py from the operator table; not to be edited."""

import builtins
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy

from flambeau.core.device import device as _device
from flambeau.core.device import memory_format as _memory_format
from flambeau.core.dtypes import dtype as _dtype
from flambeau.core.generator import Generator as _Generator
from flambeau.core.shapes import Size as _Size
from flambeau.tensor.storage import TypedStorage as _TypedStorage
from flambeau.tensor.storage import UntypedStorage as _UntypedStorage
from flambeau.tensor.tensor import Tensor as _Tensor

from flambeau import cli as cli
from flambeau import cluster as cluster
from flambeau import compiler as compiler
from flambeau import func as func
from flambeau import kernels as kernels
from flambeau import metrics as metrics
from flambeau import nn as nn
from flambeau import optim as optim
from flambeau import profiler as profiler
from flambeau import random as random
from flambeau import serialization as serialization
from flambeau import testing as testing
from flambeau import train as train
from flambeau import utils as utils
from flambeau import vision as vision
from flambeau import autograd as autograd
from flambeau import ops as ops
from flambeau.autograd import enable_grad as enable_grad
from flambeau.autograd import inference_mode as inference_mode
from flambeau.autograd import is_grad_enabled as is_grad_enabled
from flambeau.autograd import no_grad as no_grad
from flambeau.autograd import set_grad_enabled as set_grad_enabled
from flambeau.autograd.modes import is_inference_mode_enabled as is_inference_mode_enabled
from flambeau.core.device import channels_last as channels_last
from flambeau.core.device import channels_last_3d as channels_last_3d
from flambeau.core.device import contiguous_format as contiguous_format
from flambeau.core.device import device as device
from flambeau.core.device import layout as layout
from flambeau.core.device import memory_format as memory_format
from flambeau.core.device import preserve_format as preserve_format
from flambeau.core.device import sparse_coo as sparse_coo
from flambeau.core.device import sparse_csr as sparse_csr
from flambeau.core.device import strided as strided
from flambeau.core.dtypes import can_cast as can_cast
from flambeau.core.dtypes import dtype as dtype
from flambeau.core.dtypes import finfo as finfo
from flambeau.core.dtypes import get_default_dtype as get_default_dtype
from flambeau.core.dtypes import iinfo as iinfo
from flambeau.core.dtypes import promote_types as promote_types
from flambeau.core.dtypes import set_default_dtype as set_default_dtype
from flambeau.core.generator import default_generator as default_generator
from flambeau.core.generator import initial_seed as initial_seed
from flambeau.core.generator import manual_seed as manual_seed
from flambeau.core.generator import seed as seed
from flambeau.core.shapes import Size as Size
from flambeau.random import Generator as Generator
from flambeau.random import get_rng_state as get_rng_state
from flambeau.random import set_rng_state as set_rng_state
from flambeau.tensor.printing import set_printoptions as set_printoptions
from flambeau.tensor.storage import TypedStorage as TypedStorage
from flambeau.tensor.storage import UntypedStorage as UntypedStorage
from flambeau.tensor.tensor import Tensor as Tensor
from flambeau.compiler import compile as compile
from flambeau.autograd.anomaly import is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled
from flambeau.autograd.anomaly import is_anomaly_enabled as is_anomaly_enabled
from flambeau.serialization import load as load
from flambeau.serialization import save as save
from flambeau.autograd.anomaly import set_anomaly_enabled as set_anomaly_enabled
from flambeau.func import vmap as vmap

__version__: builtins.str
bfloat16: _dtype
bool: _dtype
cdouble: _dtype
cfloat: _dtype
complex128: _dtype
complex64: _dtype
double: _dtype
float: _dtype
float16: _dtype
float32: _dtype
float64: _dtype
half: _dtype
int: _dtype
int16: _dtype
int32: _dtype
int64: _dtype
int8: _dtype
long: _dtype
short: _dtype
uint16: _dtype
uint32: _dtype
uint64: _dtype
uint8: _dtype
BFloat16Tensor: Any
BoolTensor: Any
ByteTensor: Any
CharTensor: Any
ComplexDoubleTensor: Any
ComplexFloatTensor: Any
DoubleTensor: Any
FloatTensor: Any
HalfTensor: Any
IntTensor: Any
LongTensor: Any
ShortTensor: Any
from flambeau.ops import abs as abs
from flambeau.ops import abs_ as abs_
from flambeau.ops import absolute as absolute
from flambeau.ops import absolute_ as absolute_
from flambeau.ops import acos as acos
from flambeau.ops import acos_ as acos_
from flambeau.ops import acosh as acosh
from flambeau.ops import acosh_ as acosh_
from flambeau.ops import add as add
from flambeau.ops import addbmm as addbmm
from flambeau.ops import addbmm_ as addbmm_
from flambeau.ops import addcdiv as addcdiv
from flambeau.ops import addcdiv_ as addcdiv_
from flambeau.ops import addcmul as addcmul
from flambeau.ops import addcmul_ as addcmul_
from flambeau.ops import addmm as addmm
from flambeau.ops import addmm_ as addmm_
from flambeau.ops import addmv as addmv
from flambeau.ops import addmv_ as addmv_
from flambeau.ops import addr as addr
from flambeau.ops import addr_ as addr_
from flambeau.ops import adjoint as adjoint
from flambeau.ops import all as all
from flambeau.ops import allclose as allclose
from flambeau.ops import amax as amax
from flambeau.ops import amin as amin
from flambeau.ops import aminmax as aminmax
from flambeau.ops import any as any
from flambeau.ops import arange as arange
from flambeau.ops import arccos as arccos
from flambeau.ops import arccos_ as arccos_
from flambeau.ops import arccosh as arccosh
from flambeau.ops import arccosh_ as arccosh_
from flambeau.ops import arcsin as arcsin
from flambeau.ops import arcsin_ as arcsin_
from flambeau.ops import arcsinh as arcsinh
from flambeau.ops import arcsinh_ as arcsinh_
from flambeau.ops import arctan as arctan
from flambeau.ops import arctan2 as arctan2
from flambeau.ops import arctan2_ as arctan2_
from flambeau.ops import arctan_ as arctan_
from flambeau.ops import arctanh as arctanh
from flambeau.ops import arctanh_ as arctanh_
from flambeau.ops import argmax as argmax
from flambeau.ops import argmin as argmin
from flambeau.ops import argsort as argsort
from flambeau.ops import as_tensor as as_tensor
from flambeau.ops import asarray as asarray
from flambeau.ops import asin as asin
from flambeau.ops import asin_ as asin_
from flambeau.ops import asinh as asinh
from flambeau.ops import asinh_ as asinh_
from flambeau.ops import atan as atan
from flambeau.ops import atan2 as atan2
from flambeau.ops import atan2_ as atan2_
from flambeau.ops import atan_ as atan_
from flambeau.ops import atanh as atanh
from flambeau.ops import atanh_ as atanh_
from flambeau.ops import avg_pool1d as avg_pool1d
from flambeau.ops import avg_pool2d as avg_pool2d
from flambeau.ops import avg_pool3d as avg_pool3d
from flambeau.ops import baddbmm as baddbmm
from flambeau.ops import baddbmm_ as baddbmm_
from flambeau.ops import bernoulli as bernoulli
from flambeau.ops import bitwise_and as bitwise_and
from flambeau.ops import bitwise_and_ as bitwise_and_
from flambeau.ops import bitwise_left_shift as bitwise_left_shift
from flambeau.ops import bitwise_left_shift_ as bitwise_left_shift_
from flambeau.ops import bitwise_not as bitwise_not
from flambeau.ops import bitwise_not_ as bitwise_not_
from flambeau.ops import bitwise_or as bitwise_or
from flambeau.ops import bitwise_or_ as bitwise_or_
from flambeau.ops import bitwise_right_shift as bitwise_right_shift
from flambeau.ops import bitwise_right_shift_ as bitwise_right_shift_
from flambeau.ops import bitwise_xor as bitwise_xor
from flambeau.ops import bitwise_xor_ as bitwise_xor_
from flambeau.ops import bmm as bmm
from flambeau.ops import broadcast_tensors as broadcast_tensors
from flambeau.ops import broadcast_to as broadcast_to
from flambeau.ops import cat as cat
from flambeau.ops import ceil as ceil
from flambeau.ops import ceil_ as ceil_
from flambeau.ops import chunk as chunk
from flambeau.ops import clamp as clamp
from flambeau.ops import clamp_ as clamp_
from flambeau.ops import clamp_max as clamp_max
from flambeau.ops import clamp_max_ as clamp_max_
from flambeau.ops import clamp_min as clamp_min
from flambeau.ops import clamp_min_ as clamp_min_
from flambeau.ops import clip as clip
from flambeau.ops import clip_ as clip_
from flambeau.ops import clone as clone
from flambeau.ops import complex as complex
from flambeau.ops import concat as concat
from flambeau.ops import concatenate as concatenate
from flambeau.ops import conj as conj
from flambeau.ops import conj_physical as conj_physical
from flambeau.ops import conj_physical_ as conj_physical_
from flambeau.ops import constant_pad_nd as constant_pad_nd
from flambeau.ops import conv1d as conv1d
from flambeau.ops import conv2d as conv2d
from flambeau.ops import conv3d as conv3d
from flambeau.ops import conv_transpose1d as conv_transpose1d
from flambeau.ops import conv_transpose2d as conv_transpose2d
from flambeau.ops import conv_transpose3d as conv_transpose3d
from flambeau.ops import cos as cos
from flambeau.ops import cos_ as cos_
from flambeau.ops import cosh as cosh
from flambeau.ops import cosh_ as cosh_
from flambeau.ops import count_nonzero as count_nonzero
from flambeau.ops import cross_entropy as cross_entropy
from flambeau.ops import cumprod as cumprod
from flambeau.ops import cumprod_ as cumprod_
from flambeau.ops import cumsum as cumsum
from flambeau.ops import cumsum_ as cumsum_
from flambeau.ops import diagonal as diagonal
from flambeau.ops import dist as dist
from flambeau.ops import div as div
from flambeau.ops import div_ as div_
from flambeau.ops import divide as divide
from flambeau.ops import divide_ as divide_
from flambeau.ops import dot as dot
from flambeau.ops import dropout as dropout
from flambeau.ops import embedding as embedding
from flambeau.ops import empty as empty
from flambeau.ops import empty_like as empty_like
from flambeau.ops import eq as eq
from flambeau.ops import eq_ as eq_
from flambeau.ops import equal as equal
from flambeau.ops import erf as erf
from flambeau.ops import erf_ as erf_
from flambeau.ops import erfc as erfc
from flambeau.ops import erfc_ as erfc_
from flambeau.ops import exp as exp
from flambeau.ops import exp2 as exp2
from flambeau.ops import exp2_ as exp2_
from flambeau.ops import exp_ as exp_
from flambeau.ops import expm1 as expm1
from flambeau.ops import expm1_ as expm1_
from flambeau.ops import eye as eye
from flambeau.ops import fill as fill
from flambeau.ops import fix as fix
from flambeau.ops import fix_ as fix_
from flambeau.ops import flatten as flatten
from flambeau.ops import flip as flip
from flambeau.ops import float_power as float_power
from flambeau.ops import floor as floor
from flambeau.ops import floor_ as floor_
from flambeau.ops import floor_divide as floor_divide
from flambeau.ops import floor_divide_ as floor_divide_
from flambeau.ops import fmax as fmax
from flambeau.ops import fmin as fmin
from flambeau.ops import fmod as fmod
from flambeau.ops import fmod_ as fmod_
from flambeau.ops import frac as frac
from flambeau.ops import frac_ as frac_
from flambeau.ops import from_dlpack as from_dlpack
from flambeau.ops import from_numpy as from_numpy
from flambeau.ops import frombuffer as frombuffer
from flambeau.ops import full as full
from flambeau.ops import full_like as full_like
from flambeau.ops import gather as gather
from flambeau.ops import ge as ge
from flambeau.ops import ge_ as ge_
from flambeau.ops import ger as ger
from flambeau.ops import greater as greater
from flambeau.ops import greater_ as greater_
from flambeau.ops import greater_equal as greater_equal
from flambeau.ops import greater_equal_ as greater_equal_
from flambeau.ops import gt as gt
from flambeau.ops import gt_ as gt_
from flambeau.ops import imag as imag
from flambeau.ops import index_add as index_add
from flambeau.ops import index_add_ as index_add_
from flambeau.ops import index_copy as index_copy
from flambeau.ops import index_copy_ as index_copy_
from flambeau.ops import index_fill as index_fill
from flambeau.ops import index_fill_ as index_fill_
from flambeau.ops import index_put as index_put
from flambeau.ops import index_put_ as index_put_
from flambeau.ops import index_select as index_select
from flambeau.ops import isclose as isclose
from flambeau.ops import isfinite as isfinite
from flambeau.ops import isinf as isinf
from flambeau.ops import isnan as isnan
from flambeau.ops import kthvalue as kthvalue
from flambeau.ops import le as le
from flambeau.ops import le_ as le_
from flambeau.ops import leaky_relu as leaky_relu
from flambeau.ops import lerp as lerp
from flambeau.ops import lerp_ as lerp_
from flambeau.ops import less as less
from flambeau.ops import less_ as less_
from flambeau.ops import less_equal as less_equal
from flambeau.ops import less_equal_ as less_equal_
from flambeau.ops import linear as linear
from flambeau.ops import linspace as linspace
from flambeau.ops import log as log
from flambeau.ops import log10 as log10
from flambeau.ops import log10_ as log10_
from flambeau.ops import log1p as log1p
from flambeau.ops import log1p_ as log1p_
from flambeau.ops import log2 as log2
from flambeau.ops import log2_ as log2_
from flambeau.ops import log_ as log_
from flambeau.ops import log_softmax as log_softmax
from flambeau.ops import logical_and as logical_and
from flambeau.ops import logical_and_ as logical_and_
from flambeau.ops import logical_not as logical_not
from flambeau.ops import logical_not_ as logical_not_
from flambeau.ops import logical_or as logical_or
from flambeau.ops import logical_or_ as logical_or_
from flambeau.ops import logical_xor as logical_xor
from flambeau.ops import logical_xor_ as logical_xor_
from flambeau.ops import logspace as logspace
from flambeau.ops import logsumexp as logsumexp
from flambeau.ops import lt as lt
from flambeau.ops import lt_ as lt_
from flambeau.ops import masked_fill as masked_fill
from flambeau.ops import masked_fill_ as masked_fill_
from flambeau.ops import masked_select as masked_select
from flambeau.ops import matmul as matmul
from flambeau.ops import max as max
from flambeau.ops import max_pool1d as max_pool1d
from flambeau.ops import max_pool1d_with_indices as max_pool1d_with_indices
from flambeau.ops import max_pool2d as max_pool2d
from flambeau.ops import max_pool2d_with_indices as max_pool2d_with_indices
from flambeau.ops import max_pool3d as max_pool3d
from flambeau.ops import max_pool3d_with_indices as max_pool3d_with_indices
from flambeau.ops import maximum as maximum
from flambeau.ops import mean as mean
from flambeau.ops import median as median
from flambeau.ops import min as min
from flambeau.ops import minimum as minimum
from flambeau.ops import mm as mm
from flambeau.ops import moveaxis as moveaxis
from flambeau.ops import movedim as movedim
from flambeau.ops import mse_loss as mse_loss
from flambeau.ops import msort as msort
from flambeau.ops import mul as mul
from flambeau.ops import multinomial as multinomial
from flambeau.ops import multiply as multiply
from flambeau.ops import mv as mv
from flambeau.ops import nanmedian as nanmedian
from flambeau.ops import nansum as nansum
from flambeau.ops import narrow as narrow
from flambeau.ops import ne as ne
from flambeau.ops import ne_ as ne_
from flambeau.ops import neg as neg
from flambeau.ops import neg_ as neg_
from flambeau.ops import negative as negative
from flambeau.ops import negative_ as negative_
from flambeau.ops import nll_loss as nll_loss
from flambeau.ops import nonzero as nonzero
from flambeau.ops import norm as norm
from flambeau.ops import normal as normal
from flambeau.ops import not_equal as not_equal
from flambeau.ops import not_equal_ as not_equal_
from flambeau.ops import ones as ones
from flambeau.ops import ones_like as ones_like
from flambeau.ops import outer as outer
from flambeau.ops import permute as permute
from flambeau.ops import polar as polar
from flambeau.ops import pow as pow
from flambeau.ops import pow_ as pow_
from flambeau.ops import prelu as prelu
from flambeau.ops import prod as prod
from flambeau.ops import rand as rand
from flambeau.ops import rand_like as rand_like
from flambeau.ops import randint as randint
from flambeau.ops import randint_like as randint_like
from flambeau.ops import randn as randn
from flambeau.ops import randn_like as randn_like
from flambeau.ops import randperm as randperm
from flambeau.ops import range as range
from flambeau.ops import ravel as ravel
from flambeau.ops import real as real
from flambeau.ops import reciprocal as reciprocal
from flambeau.ops import reciprocal_ as reciprocal_
from flambeau.ops import relu as relu
from flambeau.ops import relu_ as relu_
from flambeau.ops import remainder as remainder
from flambeau.ops import remainder_ as remainder_
from flambeau.ops import reshape as reshape
from flambeau.ops import roll as roll
from flambeau.ops import round as round
from flambeau.ops import round_ as round_
from flambeau.ops import rsqrt as rsqrt
from flambeau.ops import rsqrt_ as rsqrt_
from flambeau.ops import rsub as rsub
from flambeau.ops import rsub_ as rsub_
from flambeau.ops import scalar_tensor as scalar_tensor
from flambeau.ops import scatter as scatter
from flambeau.ops import scatter_ as scatter_
from flambeau.ops import scatter_add as scatter_add
from flambeau.ops import scatter_add_ as scatter_add_
from flambeau.ops import select as select
from flambeau.ops import sgn as sgn
from flambeau.ops import sgn_ as sgn_
from flambeau.ops import sigmoid as sigmoid
from flambeau.ops import sigmoid_ as sigmoid_
from flambeau.ops import sign as sign
from flambeau.ops import sign_ as sign_
from flambeau.ops import signbit as signbit
from flambeau.ops import sin as sin
from flambeau.ops import sin_ as sin_
from flambeau.ops import sinh as sinh
from flambeau.ops import sinh_ as sinh_
from flambeau.ops import softmax as softmax
from flambeau.ops import softmin as softmin
from flambeau.ops import sort as sort
from flambeau.ops import split as split
from flambeau.ops import split_with_sizes as split_with_sizes
from flambeau.ops import sqrt as sqrt
from flambeau.ops import sqrt_ as sqrt_
from flambeau.ops import square as square
from flambeau.ops import square_ as square_
from flambeau.ops import squeeze as squeeze
from flambeau.ops import stack as stack
from flambeau.ops import std as std
from flambeau.ops import std_mean as std_mean
from flambeau.ops import sub as sub
from flambeau.ops import subtract as subtract
from flambeau.ops import sum as sum
from flambeau.ops import swapaxes as swapaxes
from flambeau.ops import swapdims as swapdims
from flambeau.ops import t as t
from flambeau.ops import tan as tan
from flambeau.ops import tan_ as tan_
from flambeau.ops import tanh as tanh
from flambeau.ops import tanh_ as tanh_
from flambeau.ops import tensor as tensor
from flambeau.ops import tensor_split as tensor_split
from flambeau.ops import tile as tile
from flambeau.ops import topk as topk
from flambeau.ops import transpose as transpose
from flambeau.ops import true_divide as true_divide
from flambeau.ops import true_divide_ as true_divide_
from flambeau.ops import trunc as trunc
from flambeau.ops import trunc_ as trunc_
from flambeau.ops import unbind as unbind
from flambeau.ops import unflatten as unflatten
from flambeau.ops import unsqueeze as unsqueeze
from flambeau.ops import var as var
from flambeau.ops import var_mean as var_mean
from flambeau.ops import where as where
from flambeau.ops import zeros as zeros
from flambeau.ops import zeros_like as zeros_like
