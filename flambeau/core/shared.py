"""Memory that processes share: forked ones inherit it, others are sent its descriptor."""

from __future__ import annotations

import mmap
import os
import weakref

_descriptors: weakref.WeakKeyDictionary[mmap.mmap, int] = weakref.WeakKeyDictionary()


def block(size: int) -> mmap.mmap:
    """So many bytes of zeros. On Linux they lie in a file without a name, so that nothing is left behind."""
    if not hasattr(os, "memfd_create"):
        return mmap.mmap(-1, size)
    try:
        descriptor = os.memfd_create("flambeau-shared")
    except OSError:  # no descriptors are left: forked processes can still share it
        return mmap.mmap(-1, size)
    os.ftruncate(descriptor, size)
    return opened(descriptor, size)


def opened(descriptor: int, size: int) -> mmap.mmap:
    """The memory of a descriptor, which is closed when the memory is no longer used."""
    memory = mmap.mmap(descriptor, size)
    _descriptors[memory] = descriptor
    weakref.finalize(memory, os.close, descriptor)
    return memory


def descriptor_of(memory: mmap.mmap) -> int | None:
    """The descriptor of memory from here, if it has one."""
    return _descriptors.get(memory)
