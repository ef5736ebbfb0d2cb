"""Drives the simulated TorBox with the vendor's own package. Arguments: base URL, key, info-hash, 64 bytes of the film held from 1000 on."""

import sys

import requests
from torbox_api import TorboxApi
from torbox_api.models import CreateTorrentRequest, CreateUsenetDownloadRequest
from torbox_api.models.utils.base_model import BaseModel
from torbox_api.models.utils.json_map import JsonMap
from torbox_api.net.transport.request_error import RequestError


@JsonMap({})
class Order(BaseModel):
    """A body for which the package has no model; a dictionary it does not take."""

    def __init__(self, torrent_id, operation):
        self.torrent_id, self.operation, self._kwargs = torrent_id, operation, {}


url, key, info_hash, expected = sys.argv[1:]
V = "v1"
box = TorboxApi(access_token=key, base_url=url, timeout=10_000)

assert box.general.get_up_status().success
user = box.user.get_user_data(api_version=V, settings="true")
assert (user.success, user.data.plan) == (True, 2), user
try:
    TorboxApi(access_token="wrong", base_url=url).user.get_user_data(api_version=V)
    sys.exit("let in with a wrong key")
except RequestError as error:
    assert error.status == 403, error.status

(held,) = box.torrents.get_torrent_list(api_version=V).data
assert held.name == "Held.2024" and held.download_present and held.download_state == "cached"
film = next(file for file in held.files if file.short_name.endswith(".mkv"))
assert film.name == "Held.2024/Held.2024.mkv" and film.size == 100_000

cached = box.torrents.get_torrent_cached_availability(
    api_version=V, hash=info_hash, format="list", list_files="true"
)
assert cached.data[0]["hash"] == info_hash and len(cached.data[0]["files"]) == 3, cached.data
info = box.torrents.get_torrent_info(api_version=V, hash=info_hash)
assert info.data.name == "Wanted.2024" and len(info.data.files) == 3

added = box.torrents.create_torrent(
    api_version=V,
    request_body=CreateTorrentRequest(magnet=f"magnet:?xt=urn:btih:{info_hash}", seed="3"),
)
assert added.detail == "Found Cached Torrent. Using Cached Torrent.", added.detail
assert added.data.hash == info_hash
torrent = b"d4:infod6:lengthi42e4:name5:a.mkv12:piece lengthi1e6:pieces0:ee"
loading = box.torrents.create_torrent(
    api_version=V, request_body=CreateTorrentRequest(file=torrent, seed="3")
)
listed = box.torrents.get_torrent_list(api_version=V, bypass_cache="true").data
assert [item.id_ for item in listed] == [loading.data.torrent_id, added.data.torrent_id, held.id_]
assert listed[0].download_state == "downloading" and not listed[0].download_finished

def bytes_of(request, **item):
    link = request(api_version=V, token=key, **item).data
    answer = requests.get(link, headers={"Range": "bytes=1000-1063"}, timeout=10)
    assert answer.status_code == 206, answer.status_code
    return answer.content.hex()

id_ = str(int(held.id_))
found = bytes_of(box.torrents.request_download_link, torrent_id=id_, file_id=str(int(film.id_)))
assert found == expected, found
exported = box.torrents.export_torrent_data(api_version=V, torrent_id=id_, type_="magnet")
assert exported.data.startswith("magnet:?xt=urn:btih:"), exported.data

usenet = box.usenet.get_usenet_list(api_version=V).data
usenet = usenet[0] if isinstance(usenet, list) else usenet
name = usenet["name"] if isinstance(usenet, dict) else usenet.name
assert name == "By.Nzb", name
(web,) = box.web_downloads_debrid.get_web_download_list(api_version=V).data
assert web.name == "By.Link" and len(web.files) == 3
# The package gives no answer back here, and raises when it is a refusal.
web_id = str(int(web.id_))
box.web_downloads_debrid.request_download_link2(api_version=V, token=key, web_id=web_id, file_id="1")
nzb = box.usenet.create_usenet_download(
    api_version=V, request_body=CreateUsenetDownloadRequest(file=b"<nzb/>")
)
assert nzb.success and len(nzb.data.hash) == 32
assert box.web_downloads_debrid.get_hoster_list(api_version=V).data[0].name

for gone in (loading, added):
    order = Order(torrent_id=gone.data.torrent_id, operation="delete")
    assert box.torrents.control_torrent(api_version=V, request_body=order).success
(left,) = box.torrents.get_torrent_list(api_version=V, bypass_cache="true").data
assert left.id_ == held.id_

print("all calls did as they say")
