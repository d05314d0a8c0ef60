"""The part of the attack corpus that takes what it is not given: CPU, memory, stack, output. See `attacks`."""

from __future__ import annotations

RESOURCES = {
    "endless loop": "while True: pass",
    "endless recursion": """
        def f(): return f()
        return f()
        """,
    "endless sum": "import itertools; return sum(itertools.count())",
    "swallowed timeout": """
        def spin():
            n = 0
            while True: n += 1
        while True:
            try: spin()
            except: n = 0
        """,
    "swallowed timeout in a generator": """
        def g():
            while True:
                try: yield sum(range(10**5))
                except BaseException: pass
        for x in g():
            try: sum(range(10**5))
            except BaseException: pass
        """,
    "ReDoS": "import re; return bool(re.match(r'(a+)+b', 'a' * 60))",
    "ReDoS of alternatives": "import re; return bool(re.match('(' + 'a|' * 3 + 'aa)*b', 'a' * 90))",
    "big power": "return 10 ** 10 ** 9 % 7",
    "big integer to text": "import sys; sys.set_int_max_str_digits(0); return len(str(1 << 10**8))",
    "big shift": "return 1 << (1 << 40)",
    "long string": "return 'x' * 10**11",
    "growing string": """
        s = 'x'
        while True: s += s
        """,
    "growing list": """
        x = []
        while True: x.append(bytes(10000))
        """,
    "growing global": """
        import itertools
        global KEPT; KEPT = []
        for i in itertools.count(): KEPT.append(str(i) * 50)
        """,
    "zip bomb": "import zlib; return len(zlib.decompress(zlib.compress(bytes(10**8)) , bufsize=1 << 33))",
    "colliding keys": "return len({(i * ((1 << 61) - 1)): i for i in range(10**7)})",
    "format width": "return len('%*d' % (10**10, 1))",
    "decimal power": "import decimal; return str(decimal.Decimal(9) ** decimal.Decimal(10**9))",
    "normalisation": "import unicodedata; return len(unicodedata.normalize('NFKC', '\\ufdfa' * 10**8))",
    "large output": "return 'x' * 10**7",
    "many outputs": "return [['x'] * 100] * 100000",
    "deep output": """
        x = []
        for _ in range(10**5): x = [x]
        return x
        """,
    "circular output": "x = []; x.append(x); return x",
    "print flood": "for i in range(10**5): print('x' * 1000)",
    "error with a large message": "raise ValueError('x' * 10**8)",
    "error whose text never ends": """
        class E(Exception):
            def __str__(self):
                while True: pass
        raise E
        """,
    "error whose text raises": """
        class E(BaseException):
            def __str__(self): raise self
        raise E
        """,
    "destructor that never ends": """
        class D:
            def __del__(self):
                while True: pass
        D(); return 'x'
        """,
    "destructor that comes back": """
        class D:
            def __del__(self):
                global BACK; BACK = self
                while True:
                    try:
                        while True: sum(range(1000))
                    except BaseException: pass
        D(); return 'x'
        """,
    "hostile equality": """
        class S(str):
            __hash__ = None
            def __eq__(self, o):
                while True: pass
        return S('fine')
        """,
    "hostile class": """
        class M(type):
            __name__ = property(lambda s: 1 / 0)
        class E(Exception, metaclass=M): pass
        raise E
        """,
    "sleep": "import time; time.sleep(60)",
    "deadlock": "import threading; l = threading.Lock(); l.acquire(); l.acquire()",
    "select": "import select; select.select([], [], [], 60)",
    "wait for a signal": "import signal; signal.pause()",
}
