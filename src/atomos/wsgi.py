"""The WSGI application that is named by ATOMOS_APP or pyproject.toml, for projects without a `wsgi.py` of their own."""

from atomos.bootstrap import serve

app = serve()
