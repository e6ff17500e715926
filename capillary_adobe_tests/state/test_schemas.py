"""The tenant's schemas as AEP showed them last, on both databases."""

from __future__ import annotations

from capillary_adobe.state import State, TenantSchemas

ID = "https://ns.adobe.com/acme/schemas/1"
CONTENT = {"type": "object", "properties": {"_id": {"type": "string", "title": "Größe"}}}


def test_what_is_kept_is_read_back(state: State) -> None:
    cache = TenantSchemas(state, "prod")
    assert cache.read(ID) is None
    cache.keep(ID, "events", "1.0", CONTENT, {"/a": "Email"}, "sha-1", 1000)

    found = cache.read(ID)
    assert found is not None
    assert (found.kind, found.version, found.content, found.identities) == ("events", "1.0", CONTENT, {"/a": "Email"})
    assert (found.sha, found.fetched_ms, found.tried_ms, found.words, found.checked_sha) == (
        "sha-1",
        1000,
        1000,
        "",
        None,
    )
    assert TenantSchemas(state, "dev").read(ID) is None


def test_a_failed_try_keeps_what_there_was(state: State) -> None:
    cache = TenantSchemas(state, "prod")
    cache.failed(ID, "events", "no answer", 500)
    found = cache.read(ID)
    assert found is not None
    assert (found.content, found.identities, found.sha, found.words, found.tried_ms) == (
        None,
        {},
        None,
        "no answer",
        500,
    )

    cache.keep(ID, "events", "1.0", CONTENT, {}, "sha-1", 1000)
    cache.failed(ID, "events", "no answer", 2000)
    found = cache.read(ID)
    assert found is not None
    assert (found.content, found.version, found.fetched_ms) == (CONTENT, "1.0", 1000)
    assert (found.words, found.tried_ms) == ("no answer", 2000)


def test_a_new_content_is_not_the_one_that_was_tried(state: State) -> None:
    cache = TenantSchemas(state, "prod")
    cache.keep(ID, "events", "1.0", CONTENT, {}, "sha-1", 1000)
    cache.checked(ID, "sha-1")
    cache.keep(ID, "events", "1.1", CONTENT, {}, "sha-2", 2000)

    found = cache.read(ID)
    assert found is not None
    assert (found.version, found.sha, found.checked_sha, found.words) == ("1.1", "sha-2", "sha-1", "")
