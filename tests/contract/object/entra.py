#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What gives out Azure's tokens, for a test: Entra ID's token endpoint and a machine's metadata service, both on
127.0.0.1. Azurite looks at the claims of a token, not at its signature.

    entra.py SECRET ASSERTION-FILE PORT-FILE

POST /tenant/oauth2/v2.0/token takes client "client" with SECRET, or with what ASSERTION-FILE holds now. GET
/metadata/identity/oauth2/token wants the header that it wants in Azure. A request that is not as documented is
refused as there. Each token lives 8 seconds, so that a test of a minute sees many; PORT-FILE.count has their number.
Writes its port to PORT-FILE, and ends with its parent.
"""
import base64
import ctypes
import http.server
import json
import os
import signal
import sys
import time
import urllib.parse

SECRET, ASSERTION_FILE, PORT_FILE = sys.argv[1:]
LIFE = 8
count = 0


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def token():
    global count
    count += 1
    with open(PORT_FILE + ".count", "w") as file:
        file.write(str(count))
    now = int(time.time())
    claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tenant/", "iat": now, "nbf": now,
              "exp": now + LIFE, "n": count}
    return ".".join([part({"alg": "RS256", "typ": "JWT"}), part(claims), "c2lnbmF0dXJl"])


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, status, error, description):
        self.answer(status, {"error": error, "error_description": description + "\r\nTrace ID: 1"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {key: values[0] for key, values in urllib.parse.parse_qs(body).items()}
        with open(ASSERTION_FILE) as file:
            assertion = file.read().strip()
        by_assertion = (form.get("client_assertion") == assertion and form.get("client_assertion_type")
                        == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        if self.path != "/tenant/oauth2/v2.0/token":
            self.refuse(400, "invalid_request", "AADSTS90002: Tenant not found")
        elif (form.get("grant_type") != "client_credentials"
              or form.get("scope") != "https://storage.azure.com/.default"
              or self.headers["Content-Type"] != "application/x-www-form-urlencoded"):
            self.refuse(400, "invalid_request", "AADSTS900144: not as documented")
        elif form.get("client_id") != "client":
            self.refuse(400, "unauthorized_client", "AADSTS700016: Application not found")
        elif form.get("client_secret") != SECRET and not by_assertion:
            self.refuse(401, "invalid_client", "AADSTS7000215: Invalid client secret provided")
        else:
            self.answer(200, {"token_type": "Bearer", "expires_in": LIFE, "access_token": token()})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        if (url.path != "/metadata/identity/oauth2/token" or self.headers["Metadata"] != "true"
                or query.get("api-version") != ["2018-02-01"] or query.get("resource") != ["https://storage.azure.com/"]):
            self.refuse(400, "invalid_request", "Required metadata header not specified")
        elif query.get("client_id", ["client"]) != ["client"]:
            self.refuse(400, "invalid_request", "Identity not found")
        else:
            self.answer(200, {"token_type": "Bearer", "expires_in": str(LIFE), "access_token": token()})

    def log_message(self, *_):
        pass


ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(PORT_FILE + ".new", "w") as file:
    file.write(str(server.server_address[1]))
os.rename(PORT_FILE + ".new", PORT_FILE)
server.serve_forever()
