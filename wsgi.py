"""The WSGI application, for gunicorn: `gunicorn wsgi:app -c config/gunicorn.conf.py`."""

from atomos.bootstrap import serve

app = serve()
