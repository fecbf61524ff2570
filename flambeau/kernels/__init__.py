"""The kernel floor: Python that writes machine code.

For eager operators, on NumPy arrays:

    from flambeau.kernels import call
    call.pointwise_chain(nodes, inputs, outputs, results)     # see expression.py for nodes
    call.reduction(nodes, inputs, [Reduction("sum", 0)], axes, outputs)
    call.matmul(a, b, out, epilogue, extras)
    call.conv2d(x, weight, bias, out, Convolution(...))       # and its two gradients

For the compiler, many kernels and one driver in a module:

    module = language.Module()                                # for the machine at hand
    a = pointwise.emit(module, "k1", shape, inputs, outputs, nodes, results)
    b = reduce.emit(module, "k2", shape, axes, inputs, outputs, nodes, reductions)
    calls = [Call(a, (Place(0), Place(1, 256))), Call(b, (Place(1, 256), Place(2)))]
    program = emit_driver(module, "step", calls, workspace=Place(3), scratch=Place(4))
    code = jit.load(module)                                   # compiled, or taken from disk

    table = np.array([address0, address1, ...], np.int64)     # slot -> address
    if program.parallel:
        threads.run(code.address("step"), table.ctypes.data)  # on all threads
    else:
        code.function("step", 4)(table.ctypes.data, 0, 0, 1)  # table, barrier, thread, threads

* `pointwise.Operand(dtype, strides)` describes a buffer: dtype as NumPy takes it, strides in
  elements, 0 to broadcast. `pointwise.contiguous(dtype, shape)` makes one.
* A `kernel.Place(slot, offset)` is `table[slot] + offset` bytes; a call's places are the
  kernel's buffers in order, inputs first (reductions: inputs, extras, outputs).
* `gemm.emit`, `conv.emit_forward`, `conv.emit_input_gradient`, `conv.emit_weight_gradient` take
  operands of any strides and finish each element by an expression (bias, activation, ...).
  Convolutions choose by layout: where samples lie side by side ([C, H, W, N], a stride of 1
  along the batch, or blocks [N/16, C, H, W, 16] given with five strides), they run at the
  machine's peak without padding or copies; in PyTorch's layout they spread the input first.
* Memory: `program.workspace` bytes at the workspace place; `program.scratch` bytes for each
  thread at the scratch place, one after the other. Both 128-byte aligned.
* Numbers that change from call to call (a learning rate) are inputs with all strides 0.
* `joined.emit(module, name, Joined(...), counts)`: one expression over many tensors. Its buffers are the table itself
  (a slot that holds the table's own address) and the records that `joined.records` makes.
* Barriers stand between calls that touch the same memory; `Call(..., touches=...)` says what each touches.
* `code.address(name)` of a kernel's stage gives the stage itself, to time it alone.
* `jit.load(module, key)` and `jit.fetch(key)`: a key of the caller's own, so that a warm start
  need not emit the module to find its code.
* `Kernel.flops`, `.traffic`, `.is_parallel`: for cost models and reports.

Files, lowest first: `target` (the processor), `element` (number types), `values`, `memory`, `control`, `language`, `checker`,
`cache`, `jit`, `kernel` (kernels and drivers), `threads`, `mathfn`, `expression`, then the
generators, then `call`. Nothing here imports llvmlite before the first kernel is built.
"""
