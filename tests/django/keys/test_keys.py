"""The libraries' keys are those of Django, release by release; `tests/it` compares Rust's."""

import json
import subprocess
from functools import lru_cache

import pytest
from cases import cases
from releases import HERE, LIMIT_S, ask, names
from wasmcached_plugin.django import (
    Page,
    Release,
    absolute_uri,
    make_key,
    make_template_fragment_key,
)

every_release = pytest.mark.parametrize("release", names())
asked = lru_cache(maxsize=None)(lambda release: ask(release, cases()))


def in_cache(key, case):
    return make_key(key, case["cache_prefix"], case["version"])


def keys_in_python(release, case):
    url = absolute_uri(case["origin"], case["path"], case["query"])
    page = Page(url, case["key_prefix"], case["language"], case["time_zone"])
    key = page.key(release, case["method"], case["headers"])
    header = in_cache(page.header_key(), case)
    return {"url": url, "header": header, "page": in_cache(key, case)}


def compare(kind, release, computed):
    django = asked(release)[kind]
    for case, expected, seen in zip(cases()[kind], django, computed, strict=True):
        assert seen == expected, case


@every_release
def test_keys_in_python_are_those_of_django(release):
    named = Release(release)
    fragments = cases()["fragments"]
    computed = [make_template_fragment_key(named, c["name"], c["vary_on"]) for c in fragments]
    compare("fragments", release, [in_cache(*pair) for pair in zip(computed, fragments)])
    compare("pages", release, [keys_in_python(named, case) for case in cases()["pages"]])


@every_release
def test_keys_in_javascript_are_those_of_django(release):
    command = ["node", str(HERE / "keys.mjs"), release]
    done = subprocess.run(
        command, input=json.dumps(cases()), capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    computed = json.loads(done.stdout)
    compare("fragments", release, computed["fragments"])
    compare("pages", release, computed["pages"])


def test_the_releases_differ_where_their_keys_changed():
    def keys(release):
        answer = asked(release)
        return answer["fragments"], [page["page"] for page in answer["pages"]]

    assert keys("4.2.30") == keys("5.2.18") == keys("6.0.9")
    assert keys("5.2.19") == keys("6.0.10")
    assert keys("5.2.18")[0] == keys("5.2.19")[0] != keys("6.1.3")[0]
    assert keys("5.2.18")[1] != keys("5.2.19")[1] != keys("6.1.3")[1]
