"""The attack corpus: what a hostile or a broken program may try, as source.

Each body is put into `attack(record)`, which `run` calls for the record `1`; any other record is answered "fine". `$`
names stand for canaries that the test lays out: `$SECRET` a readable file, `$DROP` a writable folder, `$PORT` and
`$UNIX` listening sockets, `$VICTIM` and `$PARENT` processes.
"""

from __future__ import annotations

import textwrap
from string import Template

from tests.executors.jail.greedy import RESOURCES

CLASSICS = {
    "os.system": "import os; return os.system('touch $DROP/x')",
    "os.popen": "import os; return os.popen('cat $SECRET').read()",
    "subprocess": """
        import subprocess
        return subprocess.run(['/bin/cat', '$SECRET'], capture_output=True).stdout.decode()
        """,
    "posix_spawn": "import os; return os.posix_spawn('/bin/touch', ['touch', '$DROP/x'], {})",
    "execv": "import os; os.execv('/bin/touch', ['touch', '$DROP/x'])",
    "open to read": "return open('$SECRET').read()",
    "open to write": "open('$DROP/x', 'w').write('x')",
    "io.FileIO": "import io; return io.FileIO('$SECRET').read().decode()",
    "io.open_code": "import io; return io.open_code('$SECRET').read().decode()",
    "codecs.open": "import codecs; return codecs.open('$SECRET').read()",
    "linecache": "import linecache; return ''.join(linecache.getlines('$SECRET')) or None",
    "pathlib": "import pathlib; return pathlib.Path('$SECRET').read_text()",
    "shutil.rmtree": "import shutil; shutil.rmtree('$DROP')",
    "unlink": "import os; os.unlink('$SECRET')",
    "rename": "import os; os.rename('$SECRET', '$DROP/x')",
    "symlink": "import os; os.symlink('$SECRET', '$DROP/x')",
    "hard link": "import os; os.link('$SECRET', '$DROP/x')",
    "mkdir": "import os; os.mkdir('$DROP/x')",
    "chmod": "import os; os.chmod('$SECRET', 0)",
    "truncate": "import os; os.truncate('$SECRET', 0)",
    "listdir": "import os; return os.listdir('$DROP/..')",
    "environment": "import os; return dict(os.environ)",
    "environment of proc": "return open('/proc/self/environ').read()",
    "environment of the parent": "return open('/proc/$PARENT/environ').read()",
    "memory of the parent": "f = open('/proc/$PARENT/mem', 'rb'); return f.read(10).hex()",
    "passwd": "return open('/etc/passwd').read() and open('$SECRET').read()",
    "chdir and open": "import os; os.chdir('$DROP'); open('x', 'w')",
    "chroot": "import os; os.chroot('$DROP')",
    "setuid": "import os; os.setuid(0); open('$DROP/x', 'w')",
    "raise the limits": """
        import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9)); return open('$SECRET').read()
        """,
}

IMPORTS = {
    "eval": 'return eval(\'__import__("os").system("touch $DROP/x")\')',
    "exec": "exec('import os; os.system(\"touch $DROP/x\")')",
    "compile": "exec(compile('open(\"$DROP/x\", \"w\")', 'x', 'exec'))",
    "importlib": "import importlib; return importlib.import_module('os').system('touch $DROP/x')",
    "builtins import": "return __builtins__.__import__('os').system('touch $DROP/x')",
    "sys.modules": "import re; return re.enum.sys.modules['os'].system('touch $DROP/x')",
    "random._os": "import random; return random._os.system('touch $DROP/x')",
    "collections._sys": "import collections; return collections._sys.modules['os'].listdir('$DROP/..')",
    "json.codecs": "import json; return json.codecs.open('$SECRET').read()",
    "loader": "return __loader__.load_module('os').system('touch $DROP/x')",
    "the jail's own modules": """
        import executors.jail.worker as w; w._encode = lambda x: b'1],["ok",2'; return 'x'
        """,
    "the gate's modules": """
        import programs.gate as g
        return g.ast.literal_eval.__globals__['__builtins__']['open']('$SECRET').read()
        """,
}

TREE_WALKS = {
    "subclasses": """
        for c in ().__class__.__base__.__subclasses__():
            if c.__name__ == '_wrap_close':
                return c.__init__.__globals__['system']('touch $DROP/x')
        """,
    "match class pattern": """
        match ():
            case object(__class__=c):
                match c:
                    case object(__base__=b):
                        match b:
                            case object(__subclasses__=s):
                                for k in s():
                                    if k.__name__ == '_wrap_close':
                                        match k.__init__:
                                            case object(__globals__=g):
                                                return g['popen']('cat $SECRET').read()
        """,
    "attrgetter": """
        import operator
        subclasses = operator.attrgetter('__class__.__base__.__subclasses__')(())()
        for k in subclasses:
            if k.__name__ == '_wrap_close':
                return operator.attrgetter('__init__.__globals__')(k)['popen']('cat $SECRET').read()
        """,
    "attrgetter of a made string": """
        import operator
        u = '_' * 2
        k = [c for c in operator.attrgetter(u + 'class' + u + '.' + u + 'base' + u)(())
             .__subclasses__() if c.__name__ == '_wrap_close'][0]
        return operator.attrgetter(u + 'init' + u + '.' + u + 'globals' + u)(k)['system']('touch $DROP/x')
        """,
    "getattr of a made string": """
        u = '_' * 2; return str(getattr(run, u + 'globals' + u)[u + 'builtins' + u].open('$SECRET').read())
        """,
    "format string": "return '{0.__globals__}'.format(run)",
    "format_map": "return '{x.__class__.__mro__}'.format_map({'x': run})",
    "string.Formatter": """
        import string
        return str(string.Formatter().get_field('0.__globals__', (run,), {})[0]['__builtins__'].open('$SECRET').read())
        """,
    "generator frame": """
        def g():
            f = x.gi_frame.f_back
            while f.f_back: f = f.f_back
            yield f.f_globals
        x = g()
        return next(x)['__builtins__'].open('$SECRET').read()
        """,
    "coroutine frame": """
        async def c(): pass
        x = c()
        try: return x.cr_frame.f_builtins['open']('$SECRET').read()
        finally: x.close()
        """,
    "traceback frame": """
        try: 1 / 0
        except ZeroDivisionError as e:
            f = e.__traceback__.tb_frame
            while f.f_back: f = f.f_back
            return f.f_globals['__builtins__'].open('$SECRET').read()
        """,
    "sys._getframe": "import sys; return sys._getframe(1).f_builtins['open']('$SECRET').read()",
    "inspect": "import inspect; return str([f.frame.f_locals for f in inspect.stack()])",
    "gc": "import gc; return [o for o in gc.get_objects() if type(o).__name__ == 'socket'][0].send(b'x')",
    "globals of a function": "return run.__globals__['__builtins__'].open('$SECRET').read()",
    "code replaced": """
        run.__code__ = (lambda record: open('$SECRET').read()).__code__
        return run(record)
        """,
    "type hints": """
        import typing
        c = type('C', (), {'__annotations__': {'x': 'open("$SECRET").read()'}})
        return typing.get_type_hints(c)['x']
        """,
    "dataclass field": """
        import dataclasses
        f = lambda: open('$SECRET').read()
        return str(dataclasses.make_dataclass('C', [('x', int, dataclasses.field(default_factory=f))])().x)
        """,
    "pickle": "import pickle; return str(pickle.loads(b\"cos\\nsystem\\n(S'touch $DROP/x'\\ntR.\"))",
    "decorator at import": """
        @(lambda f: open('$SECRET').read())
        def x(): pass
        return x
        """,
    "metaclass": """
        class M(type):
            def __init__(c, *a): open('$DROP/x', 'w')
        class C(metaclass=M): pass
        """,
}

PROCESSES = {
    "os._exit": "import os; os._exit(0)",
    "sys.exit": "import sys; sys.exit(0)",
    "abort": "import os; os.abort()",
    "fork": "import os; return os.fork()",
    "fork bomb": """
        import os
        while True: os.fork()
        """,
    "thread": "import threading; t = threading.Thread(target=lambda: open('$DROP/x', 'w')); t.start(); t.join()",
    "_thread": "import _thread; return _thread.start_new_thread(print, ())",
    "multiprocessing": "import multiprocessing; p = multiprocessing.Process(target=print); p.start(); p.join()",
    "kill a victim": "import os; os.kill($VICTIM, 9)",
    "kill the parent": "import os; os.kill($PARENT, 9)",
    "kill all": "import os; os.kill(-1, 9)",
    "kill the group": "import os; os.killpg(0, 9)",
    "kill the zygote": "import os; os.kill(os.getppid(), 9)",
    "pidfd": "import os, signal; signal.pidfd_send_signal(os.pidfd_open($VICTIM), 9)",
    "raise SIGKILL": "import signal; signal.raise_signal(9)",
    "priority": "import os; os.setpriority(os.PRIO_PROCESS, $VICTIM, 19)",
    "ptrace": "import ctypes; return ctypes.CDLL(None).ptrace(16, $VICTIM, 0, 0)",
}

SOCKETS = {
    "tcp": "import socket; socket.create_connection(('127.0.0.1', $PORT), 1).send(b'x')",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', $PORT))",
    "unix": "import socket; s = socket.socket(socket.AF_UNIX); s.connect('$UNIX'); s.send(b'x')",
    "listen": "import socket; socket.create_server(('127.0.0.1', 0)).accept()",
    "urlopen": "import urllib.request; return urllib.request.urlopen('http://127.0.0.1:$PORT/').read().decode()",
    "dns": "import socket; return socket.gethostbyname('example.com')",
    "raw": "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "netlink": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "asyncio": "import asyncio; return asyncio.run(asyncio.open_connection('127.0.0.1', $PORT))",
}

NATIVE = {
    "null pointer": "import ctypes; ctypes.string_at(0)",
    "wild write": "import ctypes; ctypes.memset(1 << 40, 0, 1 << 20)",
    "faulthandler": "import faulthandler; faulthandler._sigsegv()",
    "bad bytecode": """
        c = (lambda: 0).__code__
        f = type(run)(c.replace(co_code=b'\\x64\\xff' * 50, co_stacksize=0), {})
        return f()
        """,
    "deep recursion": """
        import sys; sys.setrecursionlimit(10**9)
        def f(): return f()
        f()
        """,
    "deep repr": """
        x = []
        for _ in range(10**6): x = [x]
        return repr(x)
        """,
    "executable memory": "import mmap; m = mmap.mmap(-1, 4096, prot=7); return len(m)",
    "native write to a file": "import ctypes; c = ctypes.CDLL(None); return c.creat(b'$DROP/x', 0o777)",
    "native system": "import ctypes; return ctypes.CDLL(None).system(b'touch $DROP/x')",
    "native socket": "import ctypes; return ctypes.CDLL(None).socket(2, 1, 0)",
    "dlopen": "import ctypes; ctypes.CDLL('$SECRET')",
}

WORKER = {
    "forged frames": "import os; os.write(3, b'\\x05\\0\\0\\0\\x07[\"ok\"' * 100)",
    "forged answers": """
        import os
        f = b'[["ok","owned"]]'
        os.write(3, len(f).to_bytes(4, 'little') + b'\\x06' + f)
        return 'x'
        """,
    "enormous frame": """
        import os; os.write(3, b'\\xff\\xff\\xff\\xff\\x06')
        while True: os.write(3, b'x' * 100000)
        """,
    "close the socket": "import os; os.close(3)",
    "steal the next frame": "import os; return os.read(3, 10).hex()",
    "forged index": """
        import gc
        for o in gc.get_objects():
            if type(o).__name__ == 'Ticker': o._page[0] = 2
        import os; os._exit(0)
        """,
    "moving index": """
        import gc
        page = next(o._page for o in gc.get_objects() if type(o).__name__ == 'Ticker')
        while True: page[0] = 0; page[0] = 1; page[0] = 2
        """,
    "timer switched off": """
        import signal; signal.setitimer(signal.ITIMER_PROF, 0)
        while True: pass
        """,
    "handler replaced": """
        import signal; signal.signal(signal.SIGPROF, signal.SIG_IGN)
        while True: pass
        """,
    "trace": "import sys; sys.settrace(lambda *a: 1 / 0); sys.setprofile(lambda *a: 1 / 0)",
    "no modules": "import sys; sys.modules.clear()",
    "poisoned json": "import json; json.loads = json.dumps = None; import re; re.compile = None",
    "poisoned builtins": "import builtins; builtins.len = builtins.range = builtins.type = builtins.min = None",
    "poisoned encoder": "import msgspec; return msgspec.Raw(b'1],[\"ok\",2')",
    "poisoned worker": """
        import sys
        w = sys.modules['executors.jail.worker']
        w.Runner._encoded = lambda *a: b'["ok",nonsense'
        return 'x'
        """,
    "unraisable hook": """
        import sys; sys.unraisablehook = lambda *a: open('$DROP/x', 'w')
        class D:
            def __del__(self): 1 / 0
        D()
        """,
    "atexit": "import atexit; atexit.register(lambda: open('$DROP/x', 'w')); raise SystemExit",
}

GROUPS = {
    "classics": CLASSICS,
    "imports": IMPORTS,
    "tree walks": TREE_WALKS,
    "processes": PROCESSES,
    "sockets": SOCKETS,
    "native": NATIVE,
    "worker": WORKER,
    "resources": RESOURCES,
}
ATTACKS = {f"{group}: {name}": body for group, attacks in GROUPS.items() for name, body in attacks.items()}


def source(body: str, canaries: dict[str, object]) -> str:
    """The module of one attack."""
    lines = textwrap.dedent(Template(body).substitute(canaries)).strip("\n")
    return (
        "def attack(record):\n"
        + textwrap.indent(lines, "    ")
        + "\n\n\ndef run(record):\n    if record == 1:\n        return attack(record)\n    return 'fine'\n"
    )
