"""`lamina serve` as it stands in the world: behind nginx on a sub-path, asked by a browser's page and by a monitor."""

import contextlib
import functools
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SITE = """
daemon off; pid {home}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  server {{
    listen 127.0.0.1:{port};
    server_name models.localhost;
    location /models/churn/ {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_set_header Host $host;
    }}
  }}
}}
"""
PAGE = """<!doctype html><title>App</title><pre id="answer">waiting</pre><script>
const headers = {{"Content-Type": "application/json", "Authorization": "Bearer secret"}};
fetch("{url}/predict", {{method: "POST", headers, body: JSON.stringify({{rows: {rows}}})}})
  .then(reply => reply.text()).catch(error => "refused: " + error)
  .then(text => {{ document.getElementById("answer").textContent = text; }});
</script>"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url: str) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing answers at {url}")


@contextlib.contextmanager
def process(*words: object) -> Iterator[subprocess.Popen[str]]:
    run = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield run
    finally:
        run.terminate()
        run.communicate(timeout=20)


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Iterator[tuple[str, object]]:
    """A site of another origin, and the folder of its pages."""
    folder = tmp_path_factory.mktemp("site")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def site(churn_bundle, origin, tmp_path_factory) -> Iterator[str]:
    """The public address of a bundle: nginx before `lamina serve`, with a token, a public name and a sub-path."""
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    folder, port, upstream = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    (folder / "nginx.conf").write_text(SITE.format(home=folder, port=port, upstream=upstream))
    options = ("--token", "secret", "--allowed-host", "models.localhost", "--root-path", "/models/churn")
    serve = ("serve", churn_bundle, "--port", upstream, *options, "--allow-origin", origin[0])
    with process(sys.executable, "-m", "lamina", *serve), process("nginx", "-p", folder, "-c", folder / "nginx.conf"):
        wait_for(f"http://127.0.0.1:{upstream}/health")
        wait_for(f"http://127.0.0.1:{port}/models/churn/health")
        yield f"127.0.0.1:{port}/models/churn"


def browse(address: str, home: object, *options: str) -> str:
    """The page as a browser has it when its scripts are done; no name but this machine's address is resolved."""
    if CHROMIUM is None:
        pytest.skip("no browser is installed: apt-get install chromium")
    single = (
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
        f"--user-data-dir={home}",
    )
    call = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    call += [*single, "--virtual-time-budget=20000", *options, "--dump-dom", address]
    return subprocess.run(call, capture_output=True, text=True, check=True, timeout=120).stdout


def test_a_monitor_that_asks_for_heads_sees_a_service_that_is_up(site):
    if not shutil.which("wget"):
        pytest.skip("wget is not installed: apt-get install wget")
    for name in ("health", "ready"):
        call = ["wget", "--spider", "--tries=1", "--timeout=20", "-nv", f"http://{site}/{name}"]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert (done.returncode, "200 OK" in done.stderr) == (0, True), done.stderr


@pytest.mark.slow
def test_a_page_of_another_origin_gets_answers_in_a_browser_and_one_that_is_not_allowed_does_not(
    site, origin, churn_rows, tmp_path
):
    address, folder = origin
    rows = [{name: row[name] for name in ("months", "plan")} for row in churn_rows[:2]]
    (folder / "app.html").write_text(PAGE.format(url=f"http://{site}", rows=json.dumps(rows)))
    page = browse(f"{address}/app.html", tmp_path / "profile")
    answers = json.loads(page.partition('id="answer">')[2].partition("</pre>")[0])
    assert [row["prediction"] in ("yes", "no") for row in answers["predictions"]] == [True, True]
    foreign = browse(f"{address.replace('127.0.0.1', 'localhost')}/app.html", tmp_path / "profile")
    assert "refused: TypeError" in foreign


@pytest.mark.slow
def test_the_documentation_opens_in_a_browser_without_a_network_and_with_the_token_as_password(site, tmp_path):
    page = browse(f"http://user:secret@{site}/docs", tmp_path / "profile")
    assert 'data-path="predict"' in page
    assert "months" in page
    assert "http" not in "".join(part.partition('"')[0] for part in page.split('src="')[1:])
    assert "secret" not in page
