"""Raw JSON records in, answers out, by generated code that can reach nothing.

What it guarantees: a program may compute, and that is all. It has no file, no socket but the one to its parent, no
process, no signal, no clock to sleep on, no executable memory. What it may cost is bounded: CPU a record, memory, size
of an answer. A record that kills its worker is named, answered and stepped over; its neighbours keep their answers.

The wall is the operating system (`lockdown`, `syscalls`). The AST gate (`programs.gate`) and the trimmed builtins
(`loader`) are linters: they turn most bad programs into a clear message, and every attack is also run without them.

Who holds what:

    parent (event loop)              zygote (trusted code only)        worker (one program, one trust domain)
    jail.Jail, cell.Cell  -- F/R --> zygote: preloads, forks       --> lockdown, then worker.serve()
    host.Host, host.Worker <======== one socket, one shared page ====> loader, checks

Tried and left: RestrictedPython (escapes, no limits), a Python subset in Rust (a fifth of ordinary Python missing),
CPython in WebAssembly (10 s to compile), V8 in-process (crashes the host). Measured in `benchmarks/jail.py`.
"""
