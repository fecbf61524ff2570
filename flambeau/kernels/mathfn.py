"""Transcendental functions on vectors, f32 and f64, written in the kernel language.

Each is its textbook algorithm: reduce the argument to a small interval, sum a short series,
undo the reduction. Within 2 ulp in f32 (see the tests); infinities, NaN and signed zeros as in
C. Rare arguments (a sine of 1e12) and rare functions go to the C library, lane by lane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau.kernels.element import F32, F64, I32, I64, Element
from flambeau.kernels.language import Function, Value

_LN2 = math.log(2.0)


class _Format:
    """The bits of a floating-point type, and how long its series must be.

    ln 2 stands in two parts, of which multiples of the first are exact. `exp_series` are the coefficients of
    (e^r - 1 - r) / r^2 on [-ln2/2, ln2/2], nearly those of least error.
    """

    def __init__(
        self, element: Element, integer: Element, mantissa: int, bias: int,
        ln2: tuple[float, float], exp_series: Sequence[float], log_terms: int,
        exp_limits: tuple[float, float],
    ):  # fmt: skip
        self.element, self.integer = element, integer
        self.mantissa, self.bias = mantissa, bias
        self.ln2_high, self.ln2_low = ln2
        self.exp_series, self.log_terms, self.exp_limits = exp_series, log_terms, exp_limits
        self.smallest_normal = 2.0 ** (1 - bias)
        self.round_trick = 1.5 * 2.0**mantissa


_LN2_F32 = 0.693359375, _LN2 - 0.693359375
_LN2_F64 = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
_EXP_F32 = (0.4999999343198129, 0.16666520400037504, 0.04166839079814679, 0.008368744998916497, 0.0013814539841167513)
_EXP_F64 = (
    0.5000000000000001, 0.16666666666666669, 0.041666666666624094, 0.00833333333333006,
    0.0013888888917230724, 0.00019841269863066696, 2.4801521269532122e-05, 2.7557268439678e-06,
    2.7620101012098e-07, 2.5100395159429243e-08,
)  # fmt: skip
_F32 = _Format(F32, I32, 23, 127, _LN2_F32, _EXP_F32, 5, (-104.0, 89.0))
_F64 = _Format(F64, I64, 52, 1023, _LN2_F64, _EXP_F64, 11, (-746.0, 710.0))


def _format(x: Value) -> _Format:
    return _F64 if x.element is F64 else _F32


def polynomial(f: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule."""
    result = f.constant_like(coefficients[-1], x)
    for coefficient in reversed(coefficients[:-1]):
        result = f.fma(result, x, coefficient)
    return result


def _nearest(f: Function, x: Value) -> tuple[Value, Value]:
    """The nearest whole number, as a float and as an integer, for |x| < 2^(mantissa - 2).

    Adding 1.5 * 2^mantissa leaves the whole number in the low bits.
    """
    form = _format(x)
    shifted = x + form.round_trick
    trick_bits = f.bitcast(f.constant_like(form.round_trick, x), form.integer)
    return shifted - form.round_trick, f.bitcast(shifted, form.integer) - trick_bits


def _power_of_two(f: Function, n: Value, like: Value) -> Value:
    """2.0 ** n for an integer n within the normal exponents."""
    form = _format(like)
    return f.bitcast((n + form.bias) << form.mantissa, form.element)


def _reduced(f: Function, x: Value) -> tuple[Value, Value, Value]:
    """r in [-ln2/2, ln2/2], what rounding r lost, and whole n, with x = n ln2 + r."""
    form = _format(x)
    shifted = f.fma(x, 1.0 / _LN2, form.round_trick)  # the nearest whole number in the low bits, see `_nearest`
    whole = shifted - form.round_trick
    n = f.bitcast(shifted, form.integer) - f.bitcast(f.constant_like(form.round_trick, x), form.integer)
    exact = f.fma(whole, -form.ln2_high, x)
    r = f.fma(whole, -form.ln2_low, exact)
    return r, f.fma(whole, -form.ln2_low, exact - r), n


def _reduced_expm1(f: Function, x: Value) -> tuple[Value, Value]:
    """e^r - 1 and whole n, with x = n ln2 + r and r in [-ln2/2, ln2/2]."""
    r, lost, n = _reduced(f, x)
    return r + f.fma(polynomial(f, r, _format(r).exp_series) * r, r, lost), n


def _reduced_exp(f: Function, r: Value) -> Value:
    """e^r for r in [-ln2/2, ln2/2]."""
    return f.fma(polynomial(f, r, _format(r).exp_series) * r, r, r) + 1.0


def _clamp(f: Function, x: Value, low: float, high: float) -> Value:
    """Keeps x in [low, high]; NaN stays NaN."""
    x = f.select(x > high, high, x)
    return f.select(x < low, low, x)


def exp(f: Function, x: Value) -> Value:
    r, _, n = _reduced(f, _clamp(f, x, *_format(x).exp_limits))
    return _scale(f, _reduced_exp(f, r), n)


def _scale(f: Function, x: Value, n: Value) -> Value:
    """x * 2^n, in one step where there is an instruction for it; else in two, since 2^n itself may overflow or be
    subnormal.
    """
    if f.target.name == "avx512":
        return f.scale(x, n)
    half = n >> 1
    return x * _power_of_two(f, half, x) * _power_of_two(f, n - half, x)


def exp2(f: Function, x: Value) -> Value:
    form = _format(x)
    low, high = (limit / _LN2 for limit in form.exp_limits)
    x = _clamp(f, x, math.floor(low), math.ceil(high))
    whole, n = _nearest(f, x)
    r = (x - whole) * _LN2
    return _scale(f, _reduced_exp(f, r), n)


def expm1(f: Function, x: Value) -> Value:
    """e^x - 1 = 2 (h (e^r - 1) + h - 1/2) with h = 2^(n-1), exact where x is small."""
    form = _format(x)
    small, n = _reduced_expm1(f, _clamp(f, x, -2.0 * form.mantissa, form.exp_limits[1]))
    half = _power_of_two(f, n - 1, x)
    result = (f.fma(half, small, half - 0.5)) * 2.0
    return f.select(n.eq(0), small, result)


# (log(1 + m) - m + m^2 / 2) / m^3 on [sqrt(1/2) - 1, sqrt(2) - 1].
_LOG_F32 = [
    0.3333333170274621, -0.25000821045834987, 0.2000122715222519, -0.166233571808929, 0.14201752930724887,
    -0.13160179362611207, 0.12761607011658155, -0.07634538614943925,
]  # fmt: skip


def _log_parts(f: Function, x: Value) -> tuple[Value, Value, Value]:
    """k, m - 1 and log's correction c, with x = 2^k m, log m = (m - 1) - c, m near 1."""
    form = _format(x)
    subnormal = x < form.smallest_normal
    x = f.select(subnormal, x * 2.0**form.mantissa, x)
    bits = f.bitcast(x, form.integer)
    root_half = f.bitcast(f.constant_like(math.sqrt(0.5), x), form.integer)
    k = (bits - root_half) >> form.mantissa
    m = f.bitcast(bits - (k << form.mantissa), form.element) - 1.0
    k = f.convert(f.select(subnormal, k - form.mantissa, k), form.element)
    square = m * m
    if x.element is F32:
        return k, m, f.fma(-polynomial(f, m, _LOG_F32) * m, square, square * 0.5)
    # log(1 + m) = 2 atanh(s) = 2s + 2/3 s^3 + ..., arranged so that m itself stays exact.
    s = m / (m + 2.0)
    z = s * s
    series = polynomial(f, z, [2.0 / (2 * i + 3) for i in range(form.log_terms)]) * z
    half_square = square * 0.5
    return k, m, half_square - s * (half_square + series)


def _log_special(f: Function, x: Value, result: Value) -> Value:
    """Puts in the logarithms of zero, infinity, negative numbers and NaN."""
    result = f.select(x < math.inf, result, x)
    result = f.select(x > 0.0, result, f.select(x.eq(0.0), f.constant_like(-math.inf, x), math.nan))
    return result


def log(f: Function, x: Value) -> Value:
    form = _format(x)
    k, m, correction = _log_parts(f, x)
    low = m - f.fma(k, -form.ln2_low, correction)
    return _log_special(f, x, f.fma(k, form.ln2_high, low))


def log2(f: Function, x: Value) -> Value:
    k, m, correction = _log_parts(f, x)
    high = 1.4427490234375 if x.element is F32 else float.fromhex("0x1.715476p+0")
    logarithm = m - correction
    result = f.fma(logarithm, high, logarithm * (1.0 / _LN2 - high)) + k
    return _log_special(f, x, result)


def log10(f: Function, x: Value) -> Value:
    return log(f, x) * (1.0 / math.log(10.0))


def log1p(f: Function, x: Value) -> Value:
    """log(u) + (x - (u - 1)) / u with u = 1 + x: the second part is what rounding u lost."""
    u = x + 1.0
    lost = x - (u - 1.0)
    logarithm = log(f, u)
    plain = u.eq(0.0) | u.eq(math.inf)
    return f.select(plain, logarithm, f.select(x.eq(0.0), x, logarithm + lost / u))


def _quotient(f: Function, a: Value, b: Value, lost: Value) -> Value:
    """a / (b + lost), with one step of correction, for a sum b that lost its last bits."""
    inverse = 1.0 / b
    quotient = a * inverse
    rest = f.fma(-quotient, b, a) - quotient * lost
    return f.fma(rest, inverse, quotient)


def sigmoid(f: Function, x: Value) -> Value:
    """1 / (1 + e^-x), by e^-|x| so that nothing overflows."""
    e = exp(f, -absolute(f, x))
    above = f.select(x < 0.0, e, f.constant_like(1.0, x))
    total = e + 1.0
    quotient = above / total
    return f.fma(-quotient, e - (total - 1.0), quotient)  # what rounding the sum lost matters where it is near 1


# (tanh(x) / x - 1) / x^2 on [0, 0.625], in powers of x^2.
_TANH_NEAR = [-0.33333283926272467, 0.1333149131412605, -0.05374350042055383, 0.020650595021260147, -0.005717053655153603]


def tanh(f: Function, x: Value) -> Value:
    """A polynomial near zero, 1 - 2 / (e^2|x| + 1) further out."""
    if x.element is F64:
        return _tanh64(f, x)
    magnitude, square = absolute(f, x), x * x
    near = f.fma(polynomial(f, square, _TANH_NEAR) * square, x, x)
    far = 1.0 - 2.0 / (exp(f, f.select(magnitude > 10.0, 10.0, magnitude) * 2.0) + 1.0)
    return f.select(magnitude < 0.625, near, f.intrinsic("copysign", far, x))


def _tanh64(f: Function, x: Value) -> Value:
    """e / (e + 2) with e = e^2|x| - 1."""
    magnitude = absolute(f, x)
    e = expm1(f, f.select(magnitude > 20.0, 20.0, magnitude) * 2.0)
    total = e + 2.0
    two = f.constant_like(2.0, e)
    larger, smaller = f.select(e > 2.0, e, two), f.select(e > 2.0, two, e)
    lost = (larger - total) + smaller
    return f.intrinsic("copysign", _quotient(f, e, total, lost), x)


def softplus(f: Function, x: Value) -> Value:
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|)."""
    return f.maximum(x, 0.0) + log1p(f, exp(f, -absolute(f, x)))


def _half_exp(f: Function, x: Value) -> Value:
    """e^x / 2, which overflows later than e^x."""
    r, _, n = _reduced(f, _clamp(f, x, 0.0, _format(x).exp_limits[1] + 1.0))
    return _scale(f, _reduced_exp(f, r), n - 1)


def sinh(f: Function, x: Value) -> Value:
    """(e + e / (e + 1)) / 2 with e = e^|x| - 1, or half of e^|x| where the rest is lost."""
    magnitude = absolute(f, x)
    e = expm1(f, magnitude)
    near = (e + e / (e + 1.0)) * 0.5
    far = f.select(magnitude > 20.0, _half_exp(f, magnitude), near)
    return f.intrinsic("copysign", far, x)


def cosh(f: Function, x: Value) -> Value:
    """(e^|x| + e^-|x|) / 2."""
    half = _half_exp(f, absolute(f, x))
    return half + 0.25 / half


_PI_HALF = (
    float.fromhex("0x1.921fb54442d18p+0"),
    float.fromhex("0x1.1a62633145c07p-54"),
)
_QUARTER_TURNS_LIMIT = 2.0**26


def _quarter_turns(f: Function, x: Value) -> tuple[Value, Value]:
    """r in [-pi/4, pi/4] and the number of quarter turns: x = n pi/2 + r, in double
    precision."""
    wide = f.convert(x, F64)
    whole, n = _nearest(f, wide * (2.0 / math.pi))
    r = f.fma(whole, -_PI_HALF[0], wide)
    r = f.fma(whole, -_PI_HALF[1], r)
    return f.convert(r, x.element), f.convert(n, _format(x).integer)


def _circular(f: Function, x: Value, name: str, turn: int) -> Value:
    """sin(x + turn pi/2)."""
    if not f.target.has_fma:  # the reduction below needs a product that is not rounded
        return from_libm(f, name, x)
    huge = ~(absolute(f, x) < _QUARTER_TURNS_LIMIT)
    r, n = _quarter_turns(f, f.select(huge, 0.0, x))
    n = n + turn
    z = r * r
    terms = 6 if x.element is F32 else 9
    signs = [(-1.0) ** k for k in range(terms)]
    sines = [s / math.factorial(2 * k + 3) for k, s in enumerate(signs)]
    cosines = [s / math.factorial(2 * k + 4) for k, s in enumerate(signs)]
    sine = f.fma(r * z, -polynomial(f, z, sines), r)
    cosine = f.fma(z * z, polynomial(f, z, cosines), f.fma(z, -0.5, 1.0))
    result = f.select((n & 1).eq(0), sine, cosine)
    result = f.select((n & 2).eq(0), result, -result)
    with f.when(f.any(huge), otherwise=[result]) as rare:
        rare.give([f.select(huge, from_libm(f, name, x), result)])
    return rare.results[0]


def sin(f: Function, x: Value) -> Value:
    return f.select(x.eq(0.0), x, _circular(f, x, "sin", 0))


def cos(f: Function, x: Value) -> Value:
    return _circular(f, x, "cos", 1)


def tan(f: Function, x: Value) -> Value:
    if x.element is F32:
        wide = f.convert(x, F64)
        return f.select(x.eq(0.0), x, f.convert(sin(f, wide) / cos(f, wide), F32))
    return from_libm(f, "tan", x)


# (erf(x) - x) / x on [0, 1.05], in powers of x^2, and 1 - erf(x) on [1.05, 3.925], in powers of x - 2.4875.
_ERF_NEAR = [
    0.12837916492399193, -0.3761261881231204, 0.11283493276474786, -0.02684953075340372, 0.005179470975956473,
    -0.0007926848639290634, 7.562713085651215e-05,
]  # fmt: skip
_ERF_FAR = [
    0.0004350479837552729, -0.002318165771499601, 0.005767269056227226, -0.008794287483453464, 0.009008252097120032,
    -0.006314683015218604, 0.002856474201014413, -0.0005421228666081757, -0.000308413436160222, 0.00028742575331247865,
    -6.32690074276433e-05, -2.258250364690109e-05, 9.8460754581133e-06,
]  # fmt: skip
# In f64 likewise on [0, 1]; and log(erfc(x) / t) + x^2 for x of [1, 6], in powers of t - 0.46.
_ERF64_NEAR = [
    0.12837916709551256, -0.37612638903183543, 0.11283791670945006, -0.02686617064323777, 0.0052239776071164225,
    -0.0008548325975389692, 0.00012055294904839707, -1.492473690741966e-05, 1.6447424703317362e-06,
    -1.6208483801871705e-07, 1.3720064546777686e-08, -7.795898827002142e-10,
]  # fmt: skip
_ERF64_FAR = [
    -0.7252789670516409, 1.3283797738598786, 0.23270079545281072, -0.34554308916895177, -0.21107954514018293,
    0.24553915028749995, 0.19308039462993679, -0.26800186109366014, -0.16442280770862122, 0.3483607849007003,
    0.08596878002627648, -0.453561130782847, 0.08744307119460534, 0.5141654410928951, -0.36485801661978384,
    -0.39790293542639293, 0.5535888611630926,
]  # fmt: skip


def erf(f: Function, x: Value) -> Value:
    """One polynomial near zero, another further out."""
    if x.element is F64:
        return _erf64(f, x)
    magnitude = absolute(f, x)
    near = f.fma(polynomial(f, x * x, _ERF_NEAR), x, x)
    far = 1.0 - polynomial(f, f.select(magnitude > 3.925, 3.925, magnitude) - 2.4875, _ERF_FAR)
    far = f.intrinsic("copysign", f.select(magnitude > 3.925, 1.0, far), x)
    return f.select(magnitude < 1.05, near, far)


def _erf64(f: Function, x: Value) -> Value:
    """Beyond 1 it is 1 - t e^(p(t) - x^2) with t = 1 / (1 + x/2), as in Numerical Recipes."""
    magnitude = absolute(f, x)
    near = f.fma(polynomial(f, x * x, _ERF64_NEAR), x, x)
    bounded = _clamp(f, magnitude, 1.0, 6.0)
    t = 1.0 / f.fma(bounded, 0.5, 1.0)
    far = 1.0 - t * exp(f, f.fma(-bounded, bounded, polynomial(f, t - 0.46, _ERF64_FAR)))
    return f.select(magnitude < 1.0, near, f.intrinsic("copysign", far, x))


def pow(f: Function, x: Value, y: Value) -> Value:
    """e^(y log|x|) in double precision, with the sign of an odd power; C's special cases."""
    if x.element is F64:
        return from_libm(f, "pow", x, y)
    x, y = x._pair(y)
    magnitude, exponent = f.convert(absolute(f, x), F64), f.convert(y, F64)
    power = f.convert(exp(f, exponent * log(f, magnitude)), F32)
    whole = f.intrinsic("floor", y).eq(y)
    half = y * 0.5
    odd = whole & f.intrinsic("floor", half).ne(half) & (absolute(f, y) < math.inf)
    power = f.select(f.intrinsic("copysign", f.constant_like(1.0, x), x) < 0.0,
                     f.select(odd, -power, power), power)  # fmt: skip
    invalid = (x < 0.0) & ~whole & x.ne(-math.inf)
    power = f.select(invalid, math.nan, power)
    unit = x.eq(1.0) | y.eq(0.0) | (x.eq(-1.0) & absolute(f, y).eq(math.inf))
    return f.select(unit, 1.0, power)


def absolute(f: Function, x: Value) -> Value:
    if x.element.is_float:
        return f.intrinsic("fabs", x)
    return f.select(x < 0, 0 - x, x) if x.element.kind == "signed" else x


def sqrt(f: Function, x: Value) -> Value:
    return f.intrinsic("sqrt", x)


def rsqrt(f: Function, x: Value) -> Value:
    return 1.0 / f.intrinsic("sqrt", x)


def from_libm(f: Function, name: str, *arguments: Value) -> Value:
    """The C library's function, called for each lane."""
    first = arguments[0]
    lanes, scalar, kind = first.lanes, first.element.ir, first.type
    arguments = tuple(f.splat(a, lanes) for a in arguments)
    called = name if first.element is F64 else name + "f"
    helper = f"lanes_{called}_{lanes}"
    names = [f"%a{i}" for i in range(len(arguments))]
    f.module.declare(f"declare {scalar} @{called}({', '.join(scalar for _ in names)})")
    body = [
        f"define internal {kind} @{helper}({', '.join(f'{kind} {n}' for n in names)}) #0 {{"
    ]
    result = "poison"
    for lane in range(lanes):
        picked = []
        for i, n in enumerate(names):
            picked.append(f"{scalar} %x{lane}_{i}" if lanes > 1 else f"{scalar} {n}")
            if lanes > 1:
                body.append(f"  %x{lane}_{i} = extractelement {kind} {n}, i64 {lane}")
        body.append(f"  %y{lane} = call {scalar} @{called}({', '.join(picked)})")
        if lanes == 1:
            result = "%y0"
            continue
        body.append(
            f"  %r{lane} = insertelement {kind} {result}, {scalar} %y{lane}, i64 {lane}"
        )
        result = f"%r{lane}"
    f.module.declare("\n".join([*body, f"  ret {kind} {result}", "}"]))
    values = ", ".join(f"{kind} {a.name}" for a in arguments)
    return f.emit(f"call {kind} @{helper}({values})", first.element, lanes)
