"""The compiler: a traced program becomes native code."""

from flambeau.compiler import emitters as emitters
from flambeau.compiler.compiled import compile as compile
