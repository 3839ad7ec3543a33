"""`cellsearch dashboard`: Optuna's dashboard reads a search, and cannot change it."""

import importlib.util
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cli.conftest import Run
from sqlalchemy import select

from cellsearch.errors import RunError
from cellsearch.report.searches import dashboard
from cellsearch.study import studies
from cellsearch.study.leaderboard import board
from cellsearch.study.storage.read_view import WIDTH, view
from cellsearch.study.tables import records
from cellsearch.study.tables.schema import items
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.workers.run import default_url
from tests.study.scripted import Scripted, new_study, one_of, searched, space_of, work

ROOT = Path(__file__).parents[2]

installed = pytest.mark.skipif(
    importlib.util.find_spec("optuna_dashboard") is None,
    reason="needs optuna-dashboard: pip install 'cellsearch[dashboard]'",
)


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """In the place of the dashboard: tells its path, and fails at /fail."""
    if environ["PATH_INFO"] == "/fail":
        raise RuntimeError("the database is away\nand more")
    start("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name that serves `application`."""

    def wsgi(storage: object) -> Any:
        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            return application(environ, start)

        return answer

    module = ModuleType("optuna_dashboard")
    module.wsgi = wsgi  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optuna_dashboard", module)


def test_without_the_package_it_is_told_how_to_install_it(
    run: Run, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    done = run("dashboard", study)
    assert (done.code, done.out) == (1, "")
    assert "needs the package 'optuna_dashboard'\npip install 'cellsearch[dashboard]'" in done.err


@pytest.mark.parametrize("words", [("nosuch",), ("../s",), ("s", "--storage", "sqlite:///nosuch.db")])
def test_an_unknown_search_is_told(run: Run, study: str, words: tuple[str, ...], stub: None) -> None:
    done = run("dashboard", *words)
    assert (done.code, done.out) == (1, "")
    assert "no search" in done.err or "no study" in done.err


def test_a_port_in_use_is_told(run: Run, study: str, stub: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("dashboard", study, "--port", str(port))
    assert (done.code, done.out) == (1, "")
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in done.err
    assert "choose another --port" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "65536"], "--port: 65536 is not from 0 to 65,535"),
        (["--port", "x"], "--port"),
        (["--host", "no such host"], "--host no such host: "),
    ],
)
def test_wrong_words(run: Run, study: str, words: list[str], said: str, stub: None) -> None:
    done = run("dashboard", study, *words)
    assert (done.code, done.out) == (2, "") and said in done.err and "Traceback" not in done.err


@contextmanager
def serving(host: str, tell: Callable[[str], None]) -> Iterator[str]:
    with dashboard.Server(host, 0, dashboard.guarded(application, dashboard.once(tell))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


def ask(url: str, method: str = "GET") -> tuple[int, str]:
    """Status and body of an answer."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_what_would_write_is_refused_and_errors_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    with serving("127.0.0.1", told.append) as url:
        assert url.startswith("http://127.0.0.1:")
        assert ask(f"{url}/api/studies") == (200, "/api/studies")
        assert ask(f"{url}/api/studies", "HEAD") == (200, "")
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            code, body = ask(f"{url}/api/studies", method)
            assert code == 403 and "read-only" in json.loads(body)["reason"]
        for _ in range(3):
            assert ask(f"{url}/fail") == (500, '{"reason": "the database is away"}')
        assert ask(f"{url}/again") == (200, "/again")
    assert told == ["the database is away"]
    said = capsys.readouterr()
    assert said.out == said.err == ""


def test_an_address_of_version_six(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving("::1", print) as url:
        assert url.startswith("http://[::1]:") and ask(f"{url}/x") == (200, "/x")


def trials_of(store: Store) -> list[Any]:
    """The work items that tell trials."""
    query = select(items).where(items.c.study == store.study, items.c.kind != "baseline")
    with reading(store.engine, store.url) as connection:
        return list(connection.execute(query))


def test_a_trial_is_shown_in_words(study: str, tmp_path: Path) -> None:
    store = records.open_study(default_url(tmp_path / "results", study), "s", read_only=True)
    shown = view(store)
    (found,) = shown.get_all_studies()
    assert set(found.user_attrs) == {"value", "reports", "steps", "space", "seed"}
    note = found.system_attrs["dashboard:note_str:0"]
    assert found.system_attrs["dashboard:note_ver"] == 1 and found.user_attrs["value"] in note
    assert "Steps: 0 filter, 1 arithmetic, 2 xml." in note

    trials = shown.get_all_trials(found._study_id)
    rows = {row.trial: row for row in board.leaderboard(store, space_of(), every=True)}
    names = {row.fingerprint: row.name for row in rows.values()}
    marks = {row.trial: row.fingerprint for row in trials_of(store)}
    assert [trial.number for trial in trials] == list(range(22))
    assert [trials[k].user_attrs["cell"] for k in (0, 1)] == ["lstm", "gru"]
    assert [trials[k].user_attrs["kind"] for k in (0, 1)] == ["seed", "seed"]
    for trial in trials:
        about = trial.user_attrs
        mark = marks[trial.number]
        assert about["cell"] == names[mark] and mark.startswith(about["fingerprint"])
        assert about["kind"] in ("seed", "proposal", "refinement")
        assert about["equations"] and ("stage" in about) == (trial.state.name == "PRUNED")
        assert about.get("parent", "lstm") in names.values()
        lines = [value for key, value in about.items() if key.startswith(("equations", "edits"))]
        assert all(len(line) <= WIDTH or "; " not in line for line in lines)
    equations = [line for line in rows[0].text.splitlines() if "=" in line and not line.startswith("#")]
    parts = [trials[0].user_attrs[key] for key in trials[0].user_attrs if key.startswith("equations")]
    assert "; ".join(parts).split("; ") == equations
    assert shown.get_trial(trials[3]._trial_id).user_attrs == trials[3].user_attrs
    best = max(trial.value or 0 for trial in trials if trial.state.name == "COMPLETE")
    assert shown.get_best_trial(found._study_id).value == best
    store.engine.dispose()


def test_a_view_takes_no_writes(study: str, tmp_path: Path) -> None:
    store = records.open_study(default_url(tmp_path / "results", study), "s")  # one that could
    shown: Any = view(store)
    for name, arguments in (
        ("delete_study", (1,)), ("create_new_study", ([],)), ("create_new_trial", (1,)),
        ("set_study_user_attr", (1, "a", 1)), ("set_study_system_attr", (1, "a", 1)),
        ("set_trial_param", (1, "a", 1.0, None)), ("set_trial_state_values", (1, 1)),
        ("set_trial_intermediate_value", (1, 1, 1.0)), ("set_trial_user_attr", (1, "a", 1)),
        ("set_trial_system_attr", (1, "a", 1)),
    ):  # fmt: skip
        with pytest.raises(RunError, match="read-only"):
            getattr(shown, name)(*arguments)
    store.engine.dispose()


@installed
def test_a_database_that_went_away_is_told_in_a_line(
    study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results" / study / "study.db"
    store = records.open_study(default_url(tmp_path / "results", study), "s", read_only=True)
    told: list[str] = []
    with dashboard.Server("127.0.0.1", 0, dashboard.application(store, told.append)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert ask(f"{server.url}/api/studies/1")[0] == 200
        assert ask(f"{server.url}/api/studies/2")[0] == 404
        file.rename(tmp_path / "away.db")
        assert [ask(f"{server.url}/api/studies")[0] for _ in range(3)] == [500] * 3
        (tmp_path / "away.db").rename(file)
        assert ask(f"{server.url}/api/studies")[0] == 200
        server.shutdown()
        thread.join()
    store.engine.dispose()
    (said,) = told
    assert "study.db was deleted, moved or replaced while it was in use" in said
    said_besides = capsys.readouterr()
    assert said_besides.out == said_besides.err == ""


@contextmanager
def process(folder: Path, *words: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The verb as a process, and the address that it tells."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "cellsearch", "dashboard", *words, "--port", "0"], cwd=folder,
        env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/dashboard/studies/\d+", url), process.communicate()[1]
        yield process, url.partition("/dashboard")[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def flags(pid: int, file: Path) -> list[int]:
    """With which a process has a file open."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed by now
            if fd.readlink() == file.resolve():
                about = Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text()
                found.append(int(about.split("flags:")[1].split()[0], 8))
    return found


@pytest.mark.long
@installed
def test_a_search_goes_on_undisturbed_while_it_is_shown(tmp_path: Path) -> None:
    space = space_of()
    alone = searched(tmp_path / "alone", Scripted(), space, one_of(40), trials=20)
    expected = board.leaderboard(alone, space, every=True)
    alone.engine.dispose()

    folder = tmp_path / "results" / "s"
    folder.mkdir(parents=True)
    store = new_study(folder, space, trials=20)
    lab = Scripted(before=lambda mark, task: time.sleep(0.05))
    failures: list[BaseException] = []

    def writing() -> None:
        try:
            work(store, space, lab, one_of(40))
        except BaseException as error:
            failures.append(error)

    worker = threading.Thread(target=writing)
    with process(tmp_path, "s") as (served, url):
        assert ask(f"{url}/api/meta")[0] == 200
        worker.start()
        seen: list[int] = []
        while worker.is_alive() or not seen:
            code, body = ask(f"{url}/api/studies")
            assert code == 200
            (summary,) = json.loads(body)["study_summaries"]
            assert summary["study_name"] == "s"
            code, body = ask(f"{url}/api/studies/{summary['study_id']}")
            assert code == 200
            seen.append(len(json.loads(body)["trials"]))
            assert ask(f"{url}/api/studies/{summary['study_id']}/param_importances")[0] in (200, 400)
            opened = flags(served.pid, folder / "study.db")
            assert opened and all(flag & os.O_ACCMODE == os.O_RDONLY for flag in opened)
        worker.join()
        assert not failures and seen == sorted(seen)

        assert ask(f"{url}/api/studies/1", "DELETE")[0] == 403
        time.sleep(2.1)  # how long the dashboard keeps what it has read
        trials = json.loads(ask(f"{url}/api/studies/1")[1])["trials"]
        assert [trial["number"] for trial in trials] == list(range(22))
        assert all(trial["datetime_start"] and trial["datetime_complete"] for trial in trials)
        assert {p["name"] for p in trials[5]["params"]} == {
            f"cell.{name}" for name in ("nodes", "states", "matrices", "peepholes", "gates", "depth")
        }
        for path in ("/dashboard", "/dashboard/studies/1", "/dashboard/studies/1/analytics", "/csv/1"):
            assert ask(url + path)[0] == 200
        before = (folder / "study.db").read_bytes()
        served.send_signal(signal.SIGINT)
        out, err = served.communicate(timeout=120)
        assert (served.returncode, out) == (130, "") and "Traceback" not in err and "locked" not in err
        assert err.startswith("dashboard of s, read-only; press Ctrl-C to end it\n")
        assert (folder / "study.db").read_bytes() == before
    assert board.leaderboard(store, space, every=True) == expected
    store.engine.dispose()


@pytest.mark.long
@installed
def test_the_newest_search_is_shown_where_none_is_named(tmp_path: Path, finished: Path) -> None:
    for name in ("s", "t"):
        searched(tmp_path / "results" / name, Scripted(), space_of(), one_of(4), trials=0).engine.dispose()
    os.utime(tmp_path / "results" / "t" / "study.db", (1, 1))
    assert studies.listed(tmp_path / "results") == ["s", "t"]
    with process(tmp_path) as (served, url):
        assert json.loads(ask(f"{url}/api/studies")[1])["study_summaries"][0]["study_name"] == "s"
        served.send_signal(signal.SIGINT)
        assert "dashboard of s" in served.communicate(timeout=120)[1]
    shutil.copyfile(finished / "study.db", tmp_path / "elsewhere.db")
    with process(tmp_path, "s", "--storage", "sqlite:///elsewhere.db") as (_, url):
        assert len(json.loads(ask(f"{url}/api/studies/1")[1])["trials"]) == 22


def test_the_address_is_opened_in_a_browser(
    run: Run, study: str, stub: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    came = threading.Event()

    def browse(url: str) -> bool:
        opened.append(url)
        came.set()
        return True

    def until(self: dashboard.Server) -> None:
        assert came.wait(120)
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", browse)
    monkeypatch.setattr(dashboard.Server, "serve_forever", until)
    done = run("dashboard", study, "--port", "0", "--open")
    assert done.code == 130 and done.out == f"{opened[0]}\n" and opened[0].endswith("/dashboard/studies/1")
    assert "no password" not in done.err
    came.set()
    done = run("dashboard", study, "--port", "0", "--host", "0.0.0.0")
    assert done.code == 130 and "has no password" in done.err
    assert done.out.startswith(f"http://{socket.gethostname()}:") and len(opened) == 1


def test_an_answer_of_an_error_is_json() -> None:
    started: list[Any] = []
    body = dashboard.refuse(lambda *words: started.append(words), "500 Internal Server Error", "über")
    assert json.load(io.BytesIO(b"".join(body))) == {"reason": "über"}
    assert dict(started[0][1])["Content-Length"] == str(len(body[0]))
