"""Keeps notes in PostgreSQL: POST / adds one, GET / lists them. Where the database is, libpq's variables say."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2

PASSWORD = Path("/run/secrets/password").read_text().strip()


def ask(statement, values=()):
    with psycopg2.connect("", password=PASSWORD) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


class Notes(BaseHTTPRequestHandler):
    def answer(self, status, text):
        text = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.answer(200, "".join(f"{note}\n" for (note,) in ask("SELECT note FROM notes ORDER BY id")))

    def do_POST(self):
        note = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        ask("INSERT INTO notes (note) VALUES (%s)", (note,))
        self.answer(201, "noted\n")


ask("CREATE TABLE IF NOT EXISTS notes (id serial PRIMARY KEY, note text NOT NULL)")
ThreadingHTTPServer(("", 8000), Notes).serve_forever()
