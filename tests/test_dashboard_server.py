"""The server of the page: tokens, host names, headers, addresses."""

import subprocess
import sys
import urllib.request

import pytest

pytest.importorskip("dash", reason="the page needs dash: pip install -e '.[page]'")
pytest.importorskip("waitress", reason="the page needs waitress: pip install -e '.[page]'")

from support.ledgers import a_search, fill, url_of
from support.served import served

from hybrid_search.dashboard import create_app, serve
from hybrid_search.dashboard.access import checked_token
from hybrid_search.dashboard.http_guard import COOKIE
from hybrid_search.errors import LedgerError, UserError

TOKEN = "a-token-of-at-least-thirty-two-characters"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "a-name"])
def test_a_host_that_others_can_reach_needs_a_token(host, written, tmp_path):
    with pytest.raises(UserError, match=r"must be a loopback address .* unless a token guards the page; got"):
        create_app(url_of(tmp_path), host=host)
    assert checked_token(host, TOKEN) == TOKEN


def test_a_short_token_is_refused_and_not_printed():
    with pytest.raises(UserError, match="at least 32 ASCII characters; got 6") as caught:
        checked_token("127.0.0.1", "secret")
    assert "secret;" not in str(caught.value)


ROUTES = ("/", "/_dash-layout", "/_dash-dependencies", "/assets/page.js", "/_favicon.ico", "/nowhere", "/_reload-hash")


@pytest.mark.parametrize("route", ROUTES)
def test_with_a_token_every_route_answers_401_without_it(written, client, route):
    page = client(token=TOKEN)
    assert page.get(route).status_code == 401
    assert page.post("/_dash-update-component", json={}).status_code == 401
    assert page.get(route, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert page.get(route, headers={"Authorization": f"Bearer {TOKEN}"}).status_code != 401
    page.flask.set_cookie(COOKIE, "wrong")
    assert page.get(route).status_code == 401


def test_every_registered_route_is_behind_the_token(written, client):
    page = client(token=TOKEN)
    for rule in page.flask.application.url_map.iter_rules():
        path = (
            str(rule).replace("<path:path>", "x").replace("<path:filename>", "x").replace("<string:package_name>", "x")
        )
        path = path.replace("<path:fingerprinted_path>", "x")
        assert page.open(path, method="POST" if "POST" in rule.methods else "GET").status_code == 401, rule


def test_the_token_in_the_address_is_exchanged_for_a_cookie(written, client):
    page = client(token=TOKEN)
    answer = page.get(f"/?token={TOKEN}&search=a%26b")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?search=a%26b")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert page.get("/").status_code == 200
    assert page.get("/?token=wrong").status_code == 200  # the cookie counts
    assert client(token=TOKEN).get("/?token=wrong").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.7"])
def test_a_foreign_host_name_is_refused(written, client, host):
    page = client()
    assert page.get("/", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "127.0.0.1:8050", "[::1]:8050"])
def test_loopback_names_are_answered_on_any_port(written, client, host):
    assert client().get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_post_from_another_site_is_refused(written, client, headers):
    page = client()
    assert page.post("/_dash-update-component", json={}, headers=headers).status_code == 403


def test_answers_have_the_security_headers_and_allow_no_other_origin(written, client):
    headers = client().get("/", headers={"Origin": "http://evil.example"}).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "path", ["/assets/../http_guard.py", "/assets/%2e%2e/http_guard.py", "/_dash-component-suites/dash/../../x"]
)
def test_no_path_leaves_the_assets(written, client, path):
    assert client().get(path).status_code >= 400


def test_the_server_answers_over_a_socket_and_refuses_a_port_that_is_taken(written, tmp_path):
    fill(written, a_search(written), 5)
    with served(url_of(tmp_path)) as address:
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200
            assert "Server" not in answer.headers
        port = int(address.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(UserError, match=rf"port \(--port\) must be free on 127.0.0.1; {port} is not"):
            serve(url_of(tmp_path), port=port)


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_out_of_range_is_refused(written, tmp_path, port):
    with pytest.raises(UserError, match=rf"port \(--port\) must be a number from 0 .* to 65535; got {port}"):
        serve(url_of(tmp_path), port=port)


def test_a_host_that_is_no_address_is_refused(written, tmp_path, monkeypatch):
    def unknown(*_given, **_more):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(
        UserError, match=r"host \(--host\) must be an address of this machine; got nowhere: Name or service"
    ):
        serve(url_of(tmp_path), host="nowhere", token=TOKEN)


def test_a_ledger_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(LedgerError, match=r"does not exist\. Start a search first"):
        serve(url_of(tmp_path))


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr("hybrid_search.dashboard.server.find_spec", lambda name: None if name == "dash" else name)
    with pytest.raises(UserError, match=r"dash is not installed. Install: pip install dash$"):
        serve(url_of(tmp_path))


def test_the_dashboard_is_imported_without_dash_flask_and_plotly():
    code = "import sys, hybrid_search.dashboard; print([m for m in ('dash', 'flask', 'plotly') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_is_made_without_torch_ray_or_optuna(written, tmp_path):
    fill(written, a_search(written), 5)
    code = (
        "import sys\nfrom hybrid_search.dashboard import create_app\n"
        f"app = create_app({url_of(tmp_path)!r})\n"
        "assert app.server.test_client().get('/').status_code == 200\n"
        "app.server.extensions['hybrid_search'].close()\n"
        "print([m for m in ('torch', 'ray', 'optuna', 'timm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
