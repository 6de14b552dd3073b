"""A test client of the page: it runs callbacks as the browser does. tests/conftest.py loads the fixtures."""

import pytest

from hybrid_search.ledger import Ledger
from support.ledgers import url_of

LOOK = {"theme": "light", "webgl": True}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A ledger to write to, in a folder of its own."""
    monkeypatch.delenv("HYBRID_SEARCH_DB", raising=False)
    monkeypatch.delenv("HYBRID_SEARCH_TOKEN", raising=False)
    with Ledger(url_of(tmp_path)) as ledger:
        yield ledger


class Client:
    """Flask's test client, with answers read to their end so that no file stays open."""

    def __init__(self, flask):
        self.flask = flask

    def open(self, path, **options):
        return self.flask.open(path, buffered=True, **options)

    def get(self, path, **options):
        return self.open(path, method="GET", **options)

    def post(self, path, **options):
        return self.open(path, method="POST", **options)


@pytest.fixture
def client(written, tmp_path):
    """Makes a test client of the page over that ledger."""
    from hybrid_search.dashboard import create_app

    opened = []

    def open_page(**options):
        app = create_app(url_of(tmp_path), **options)
        opened.append(app)
        return Client(app.server.test_client())

    yield open_page
    for app in opened:
        app.server.extensions["hybrid_search"].close()


def outputs_of(client, first):
    """The output specification of the callback whose first output this is."""
    specs = client.get("/_dash-dependencies").get_json()
    return next(spec for spec in specs if first in spec["output"].split("...")[0])


def call(client, first, changed, **values):
    """Run one callback as the browser does."""
    spec = outputs_of(client, first)

    def given(parts):
        return [{**{k: p[k] for k in ("id", "property")}, "value": values.get(p["id"])} for p in parts]

    names = spec["output"].strip(".").split("...")
    outputs = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names]
    body = {
        "output": spec["output"],
        "outputs": outputs if len(outputs) > 1 else outputs[0],
        "inputs": given(spec["inputs"]),
        "state": given(spec["state"]),
        "changedPropIds": changed,
    }
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code in (200, 204), answer.text
    return answer.get_json()["response"] if answer.status_code == 200 else {}


def draw(client, search="digits", x="flops", y="accuracy", received=None, pinned=(), colour="mix", log=()):
    return call(
        client,
        "front.figure",
        ["refresh.n_intervals"],
        search=search,
        x=x,
        y=y,
        colour=colour,
        log=list(log),
        look=LOOK,
        pinned=list(pinned),
        received=received,
    )
