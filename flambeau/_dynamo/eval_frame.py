"""The class of compiled modules, where programs look for it."""

from flambeau.compiler.module import OptimizedModule as OptimizedModule
