//! Another server with the same library and key takes over.

use std::sync::Arc;

use nfs3_types::nfs3::nfsstat3;

use crate::support::*;

#[tokio::test]
async fn a_handle_is_read_on_from_another_server() {
    let exports = || vec![export("films", "films"), export("all", "")];
    let first = Served::with(library(), exports()).await;
    let mut client = first.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    let expected = content(3_000_001);
    let half = read(&mut client, &film, 0, 300_000).await.unwrap();
    assert!(half == expected[..300_000]);
    let before = client.getattr(&film.clone().into()).await.unwrap().unwrap();
    drop((client, first));

    let second = Served::with(library(), exports()).await;
    let mut client = second.mount("/all").await.unwrap();
    let rest = read(&mut client, &film, 300_000, 300_000).await.unwrap();
    assert!(rest == expected[300_000..600_000]);
    let after = client.getattr(&film.clone().into()).await.unwrap().unwrap();
    let [before, after] = [before, after].map(|attr| format!("{:?}", attr.obj_attributes));
    assert_eq!(before, after);
    assert_eq!(handle(&mut client, "films/film.mkv").await, film);
}

#[tokio::test]
async fn a_file_that_is_gone_is_stale_and_its_directory_is_not() {
    let vfs = Arc::new(library());
    let served = Served::at("[::1]:0", vfs.clone(), vec![export("all", "")], LONG).await;
    let mut client = served.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    let dir = handle(&mut client, "films").await;
    vfs.remove_file(FILM);
    let stale = nfsstat3::NFS3ERR_STALE;
    assert_eq!(read(&mut client, &film, 0, 9).await, Err(stale));
    assert_eq!(status(client.getattr(&film.into()).await.unwrap()), stale);
    let found = lookup(&mut client, &dir, "film.mkv").await;
    assert_eq!(status(found), nfsstat3::NFS3ERR_NOENT);
}
