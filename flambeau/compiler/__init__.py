"""The compiler: a traced graph of primitives becomes native code."""

from flambeau.compiler.compiled import compile as compile
