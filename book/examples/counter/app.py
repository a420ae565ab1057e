"""Counts its visits in redis."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

# It may start before redis answers: nothing but the program itself can know when that is.
COUNTER = redis.Redis(
    host=os.environ["REDIS_HOST"], retry=Retry(ConstantBackoff(0.5), 20), retry_on_error=[ConnectionError]
)


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{os.environ['GREETING']}! Visit {COUNTER.incr('visits')}.\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


ThreadingHTTPServer(("", 8000), Page).serve_forever()
