"""Drives the qBittorrent front with the package that most tools are built on. Arguments: port, info-hash."""

import sys
import time

import qbittorrentapi

port, info_hash = int(sys.argv[1]), sys.argv[2]
where = {"host": f"http://127.0.0.1:{port}", "VERIFY_WEBUI_CERTIFICATE": False}

try:
    qbittorrentapi.Client(**where, username="admin", password="wrong").auth_log_in()
    sys.exit("let in with a wrong password")
except qbittorrentapi.LoginFailed:
    pass

client = qbittorrentapi.Client(
    **where,
    username="admin",
    password="adminadmin",
    RAISE_NOTIMPLEMENTEDERROR_FOR_UNIMPLEMENTED_API_ENDPOINTS=True,
    RAISE_ERROR_FOR_UNSUPPORTED_QBITTORRENT_VERSIONS=True,
)
client.auth_log_in()
assert client.app.version.startswith("v5."), client.app.version
assert client.app.preferences.queueing_enabled is True
client.app.set_preferences({"dht": True})
assert client.app.default_save_path.endswith("/downloads")
assert client.app.build_info.bitness == 64

client.torrent_categories.create_category(name="tv", save_path="")
assert set(client.torrent_categories.categories) == {"tv"}
client.torrent_categories.edit_category(name="tv", save_path="series")
assert client.torrent_categories.categories["tv"].savePath.endswith("/downloads/series")
try:
    client.torrent_categories.create_category(name="tv")
    sys.exit("made twice")
except qbittorrentapi.Conflict409Error:
    pass

link = f"magnet:?xt=urn:btih:{info_hash}&dn=Film.2024"
assert client.torrents_add(urls=link, category="tv", tags=["a", "b"], is_stopped=True) == "Ok."
torrent = client.torrents_info(category="tv")[0]
assert torrent.hash == info_hash and torrent.state_enum.is_stopped, torrent
assert torrent.state_enum is qbittorrentapi.TorrentStates.STOPPED_DOWNLOAD
torrent.start()
for _ in range(600):
    torrent = client.torrents_info(torrent_hashes=info_hash)[0]
    if torrent.state_enum.is_complete:
        break
    time.sleep(0.1)
assert torrent.state == "stoppedUP" and torrent.progress == 1, torrent
assert torrent.content_path.endswith("/series/Film.2024")
assert sorted(client.torrent_tags.tags) == ["a", "b"]

assert torrent.properties.save_path == torrent.save_path
assert [file.priority for file in torrent.files] == [1, 1]
assert len(torrent.trackers) == 3 and list(torrent.webseeds) == []
assert set(client.torrents_piece_states(info_hash)) == {2}
torrent.add_tags("c")
torrent.remove_tags("a")
torrent.set_share_limits(ratio_limit=2, seeding_time_limit=10, inactive_seeding_time_limit=-2)
torrent.set_force_start(enable=True)
torrent.set_force_start(enable=False)
torrent.rename("Another")
torrent.set_category("")
torrent.top_priority()
torrent.add_trackers(["udp://tracker.example:1337/announce"])
assert [tracker.status for tracker in torrent.trackers] == [2, 0, 0, 2]
torrent.remove_trackers("udp://tracker.example:1337/announce")
torrent.set_download_limit(1)
torrent.set_location(client.app.default_save_path)
try:
    torrent.export()
    sys.exit("a file of a magnet")
except qbittorrentapi.Conflict409Error:
    pass
client.transfer.set_download_limit(1)
client.transfer.ban_peers("1.2.3.4:5")
assert client.transfer.download_limit == 0
assert not client.rss.items() and not client.rss.rules
assert not client.search.plugins and not client.search.status()
assert not client.app.cookies and not client.app.network_interface_list
torrent.recheck()
torrent.reannounce()
torrent = client.torrents_info(torrent_hashes=info_hash)[0]
assert torrent.name == "Another" and torrent.category == "" and torrent.ratio_limit == 2, torrent
assert {tag.strip() for tag in torrent.tags.split(",")} == {"b", "c"}
assert client.torrents_count() == 1

data = client.sync_maindata()
assert data.full_update and list(data.torrents) == [info_hash]
assert client.sync_maindata(rid=data.rid).full_update is False
assert client.transfer_info().connection_status == "connected"
try:
    client.torrents_files(torrent_hash="f" * 40)
    sys.exit("files of nothing")
except qbittorrentapi.NotFound404Error:
    pass
client.torrents_delete(torrent_hashes="all", delete_files=True)
assert client.torrents_count() == 0
client.torrent_categories.remove_categories(categories="tv")
client.torrent_tags.delete_tags(tags=["b", "c"])
client.auth_log_out()
print("all calls did as they say")
