"""Drives the simulated AllDebrid with a client that others wrote. Arguments: base URL, token, cached info-hash."""

import asyncio
import sys

from alldebrid.client import Client
from alldebrid.response import ApiError


async def main(base, token, info_hash):
    Client.BASE = base
    client = Client(token)
    uploaded = (await client.magnet_upload([f"magnet:?xt=urn:btih:{info_hash}", "nonsense"])).magnets
    assert uploaded[0].ready and uploaded[0].hash == info_hash, uploaded
    assert uploaded[1].error.code == "MAGNET_INVALID_URI", uploaded
    number = uploaded[0].id
    again = (await client.magnet_upload([f"magnet:?xt=urn:btih:{info_hash}"])).magnets
    assert again[0].id == number, "the same hash is the same torrent"
    listed = (await client.magnet_status()).magnets
    assert {magnet.statusCode for magnet in listed} == {4}, listed
    one = (await client.magnet_status(number)).magnets
    assert [magnet.id for magnet in one] == [number]
    assert (await client.magnet_status(status="error")).magnets == []
    files = (await client.magnet_files([magnet.id for magnet in listed])).magnets
    assert [entry.id for entry in files] == [magnet.id for magnet in listed]
    assert all(entry.files and entry.files[0].size > 0 for entry in files), files
    torrent = b"d4:infod6:lengthi5e4:name5:a.mkv12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee"
    (sent, bad) = (await client.magnet_upload_raw(("a.torrent", torrent), ("b.torrent", b"x"))).files
    assert sent.name and not sent.ready, sent
    assert bad.error.code == "MAGNET_INVALID_FILE", bad
    await client.magnet_delete(number)
    try:
        await client.magnet_status(number)
        raise AssertionError("a deleted torrent is known")
    except ApiError as error:
        assert "MAGNET_INVALID_ID" in str(error), error
    try:
        await client.link_unlock("https://example.com/f")
        raise AssertionError("a link of nobody was unlocked")
    except ApiError as error:
        assert "LINK_HOST_NOT_SUPPORTED" in str(error), error
    (link,) = sys.argv[4:]
    unlocked = await client.link_download(link)
    assert unlocked.link.startswith(f"{base}/dl/"), unlocked
    (info,) = (await client.link_info([link])).infos
    assert info.size == unlocked.filesize, info
    print("all calls did as they say")


asyncio.run(main(*sys.argv[1:4]))
