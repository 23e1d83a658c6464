"""Loaded into every Python program under `remit run` (PYTHONPATH): each TLS context also trusts remit's CA.

Some clients bring their own roots and read no variable (stripe), others read one that nobody sets. The `ssl` module is
changed when the program imports it and not before, so programs without TLS pay nothing and gevent can still patch first.
A sitecustomize of the user's own, further down the path, runs as if this one were not there.
"""


def _trust_ca(ssl, ca):
    context = ssl.SSLContext
    load_locations = context.load_verify_locations
    load_default = context.load_default_certs
    set_default = context.set_default_verify_paths

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        load_locations(self, cafile, capath, cadata)
        if cafile != ca:
            load_locations(self, ca)

    def load_default_certs(self, *args, **kwargs):
        load_default(self, *args, **kwargs)
        load_locations(self, ca)

    def set_default_verify_paths(self, *args, **kwargs):
        set_default(self, *args, **kwargs)
        load_locations(self, ca)

    context.load_verify_locations = load_verify_locations
    context.load_default_certs = load_default_certs
    context.set_default_verify_paths = set_default_verify_paths


def _when_ssl_is_imported(ca):
    import sys
    from importlib.machinery import PathFinder

    if "ssl" in sys.modules:
        _trust_ca(sys.modules["ssl"], ca)
        return

    class Finder(object):
        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if name != "ssl":
                return None
            sys.meta_path.remove(cls)
            spec = PathFinder.find_spec(name, path, target)
            if spec is None or spec.loader is None:
                return None
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                _trust_ca(module, ca)

            spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, Finder)


def _run_the_next_one():
    import os
    import sys
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.dirname(os.path.abspath(__file__))
    others = [folder for folder in sys.path if os.path.abspath(folder or ".") != here]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _start():
    import os

    ca = os.environ.get("REMIT_CA")
    if ca and os.path.isfile(ca):
        _when_ssl_is_imported(ca)


try:
    _start()
except Exception:  # A program must not fail to start for want of this.
    pass
_run_the_next_one()
