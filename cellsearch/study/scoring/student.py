"""Student's t distribution: tail and quantile, in plain floats. (Python has the normal distribution.)"""

from math import exp, lgamma, log, log1p, pi
from statistics import NormalDist

TINY = 1e-300
STEPS = 500  # terms of the continued fraction; 30 suffice for the degrees of freedom used here


def tail(t: float, df: float) -> float:
    """P(T > t) with `df` > 0 degrees of freedom, to about 1e-12."""
    if t < 0:
        return 1.0 - tail(-t, df)
    return 0.5 * _beta(df / (df + t * t), df / 2, 0.5)


def quantile(level: float, df: float) -> float:
    """The t that is exceeded with probability `level`, 0 < level < 1, by Newton's method on the logarithm of
    the tail, which is concave, starting from the normal quantile."""
    if level > 0.5:
        return -quantile(1.0 - level, df)
    t = NormalDist().inv_cdf(1.0 - level) if level > 1e-15 else 8.0
    scale = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * log(df * pi)
    for _ in range(STEPS):
        above = tail(t, df)
        step = (log(above) - log(level)) * above / exp(scale - (df + 1) / 2 * log1p(t * t / df))
        t += step
        if abs(step) <= 1e-12 * max(1.0, t):
            break
    return t


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (Numerical Recipes,
    6.4)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta(1.0 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1) or TINY)
    found = d
    for m in range(1, STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / (1.0 + term * d or TINY)
            c = 1.0 + term / c or TINY
            found *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * found
