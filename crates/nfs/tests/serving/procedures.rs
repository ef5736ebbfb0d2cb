//! What each procedure answers.

use std::time::Duration;

use debridfs_nfs::{Export, HANDLE_LEN, Seal};
use debridfs_vfs::NodeId;
use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::Opaque;

use crate::support::*;

async fn all() -> (Served, Connection) {
    let served = Served::with(library(), vec![export("all", "")]).await;
    let client = served.mount("/all").await.unwrap();
    (served, client)
}

#[tokio::test]
async fn a_file_is_found_told_of_and_read() {
    let (served, mut client) = all().await;
    let film = handle(&mut client, "films/film.mkv").await;
    assert_eq!(film.data.len(), HANDLE_LEN);
    let attr = client.getattr(&film.clone().into()).await.unwrap();
    let attr = attr.unwrap().obj_attributes;
    assert_eq!(
        (attr.type_, attr.mode, attr.nlink),
        (ftype3::NF3REG, 0o444, 1)
    );
    assert_eq!((attr.size, attr.fileid), (3_000_001, FILM.0));
    assert_eq!(attr.mtime.seconds, 1_700_000_000);
    let expected = content(3_000_001);
    let mut offset = 0;
    loop {
        let args = READ3args {
            file: film.clone(),
            offset,
            count: 1 << 20,
        };
        let read = client.read(&args).await.unwrap().unwrap();
        let start = offset as usize;
        assert!(read.data.len() <= debridfs_nfs::RTMAX as usize && !read.data.is_empty());
        assert_eq!(read.data.len(), read.count as usize);
        assert!(read.data[..] == expected[start..start + read.data.len()]);
        offset += u64::from(read.count);
        assert_eq!(read.eof, offset == 3_000_001);
        if read.eof {
            break;
        }
    }
    for (offset, count, eof) in [
        (3_000_001, 9, true),
        (u64::MAX, u32::MAX, true),
        (0, 0, false),
    ] {
        let args = READ3args {
            file: film.clone(),
            offset,
            count,
        };
        let read = client.read(&args).await.unwrap().unwrap();
        assert_eq!(
            (read.count, read.eof, read.data.len()),
            (0, eof, 0),
            "{offset}"
        );
    }
    let report = served.server.report();
    let known = &report.clients[0];
    assert_eq!(
        (known.bytes, known.errors, known.connections),
        (3_000_001, 0, 2)
    );
    assert_eq!(report.memory, 0);
}

#[tokio::test]
async fn directories_are_listed_in_parts_of_any_size() {
    let vfs = library();
    for number in 0..300 {
        let name = format!("a film with a name of some length {number}.mkv");
        vfs.add_bytes(FILMS, &name, NodeId(1 << 30 | number), content(1));
    }
    let served = Served::with(vfs, vec![export("all", "")]).await;
    let mut client = served.mount("/all").await.unwrap();
    let dir = handle(&mut client, "films").await;
    for maxcount in [600, 4096, 1 << 20] {
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let args = READDIRPLUS3args {
                dir: dir.clone(),
                cookie,
                cookieverf: cookieverf3(*b"whatever"),
                dircount: maxcount,
                maxcount,
            };
            let list = client.readdirplus(&args).await.unwrap().unwrap().reply;
            for entry in list.entries.0 {
                cookie = entry.cookie;
                let (attr, fh) = (entry.name_attributes.unwrap(), entry.name_handle.unwrap());
                assert_eq!(attr.fileid, entry.fileid);
                let told = client.getattr(&fh.into()).await.unwrap().unwrap();
                assert_eq!(told.obj_attributes.fileid, entry.fileid);
                names.push(String::from_utf8(entry.name.0.to_vec()).unwrap());
            }
            if list.eof {
                break;
            }
        }
        assert_eq!(
            (&*names[0], &*names[1], names.len()),
            (".", "..", 303),
            "{maxcount}"
        );
        let (mut plain, mut cookie) = (Vec::new(), 0);
        loop {
            let args = READDIR3args {
                dir: dir.clone(),
                cookie,
                cookieverf: cookieverf3::default(),
                count: maxcount,
            };
            let list = client.readdir(&args).await.unwrap().unwrap().reply;
            for entry in list.entries.0 {
                cookie = entry.cookie;
                plain.push(String::from_utf8(entry.name.0.to_vec()).unwrap());
            }
            if list.eof {
                break;
            }
        }
        assert_eq!(plain, names);
    }
    let args = READDIR3args {
        dir,
        cookie: 0,
        cookieverf: cookieverf3::default(),
        count: 64,
    };
    let small = client.readdir(&args).await.unwrap();
    assert_eq!(status(small), nfsstat3::NFS3ERR_TOOSMALL);
}

#[tokio::test]
async fn nothing_above_an_export_is_to_be_had() {
    let exports = vec![export("films", "films"), export("all", "")];
    let served = Served::with(library(), exports).await;
    let mut client = served.mount("/films").await.unwrap();
    let root = client.root_nfs_fh3();
    let above = lookup(&mut client, &root, "..").await.unwrap();
    assert_eq!(above.object, root);
    let args = READDIRPLUS3args {
        dir: root.clone(),
        cookie: 0,
        cookieverf: cookieverf3::default(),
        dircount: 4096,
        maxcount: 4096,
    };
    let list = client
        .readdirplus(&args)
        .await
        .unwrap()
        .unwrap()
        .reply
        .entries
        .0;
    assert!(list.iter().all(|entry| entry.fileid != NodeId::ROOT.0));
    // A handle of another export is another one, though it names the same node.
    let mut whole = served.mount("/all").await.unwrap();
    let same = handle(&mut whole, "films").await;
    assert_ne!(same, root);
    let up = lookup(&mut whole, &same, "..").await.unwrap();
    assert_eq!(up.obj_attributes.unwrap().fileid, NodeId::ROOT.0);
}

#[tokio::test]
async fn a_handle_from_before_its_export_was_narrowed_leads_no_further_up() {
    let before = Served::with(library(), vec![export("media", "")]).await;
    let mut client = before.mount("/media").await.unwrap();
    let (films, others) = (
        handle(&mut client, "films").await,
        handle(&mut client, "others").await,
    );
    let up = lookup(&mut client, &others, "..").await.unwrap();
    assert_eq!(up.object, client.root_nfs_fh3());
    drop((client, before));

    let after = Served::with(library(), vec![export("media", "films")]).await;
    let mut client = after.mount("/media").await.unwrap();
    assert_eq!(client.root_nfs_fh3(), films);
    for directory in [films, others] {
        let up = lookup(&mut client, &directory, "..").await.unwrap();
        assert_eq!(up.object, directory);
    }
}

#[tokio::test]
async fn what_writes_is_refused_and_the_rest_told() {
    let (_served, mut client) = all().await;
    let film = handle(&mut client, "films/film.mkv").await;
    let dir = handle(&mut client, "films").await;
    let rofs = nfsstat3::NFS3ERR_ROFS;
    let what = || diropargs3 {
        dir: dir.clone(),
        name: b"film.mkv".as_slice().into(),
    };
    let remove = REMOVE3args { object: what() };
    assert_eq!(status(client.remove(&remove).await.unwrap()), rofs);
    let rename = RENAME3args {
        from: what(),
        to: what(),
    };
    assert_eq!(status(client.rename(&rename).await.unwrap()), rofs);
    let link = LINK3args {
        file: film.clone(),
        link: what(),
    };
    assert_eq!(status(client.link(&link).await.unwrap()), rofs);
    let write = WRITE3args {
        file: film.clone(),
        offset: 0,
        count: debridfs_nfs::WTMAX,
        stable: stable_how::FILE_SYNC,
        data: Opaque::owned(vec![1; debridfs_nfs::WTMAX as usize]),
    };
    assert_eq!(status(client.write(&write).await.unwrap()), rofs);
    let mkdir = MKDIR3args {
        where_: what(),
        attributes: sattr3::default(),
    };
    assert_eq!(status(client.mkdir(&mkdir).await.unwrap()), rofs);
    let commit = COMMIT3args {
        file: film.clone(),
        offset: 0,
        count: 0,
    };
    client.commit(&commit).await.unwrap().unwrap();
    let access = ACCESS3args {
        object: film.clone(),
        access: 0x3f,
    };
    let access = client.access(&access).await.unwrap().unwrap().access;
    assert_eq!(access, ACCESS3_READ);
    let access = ACCESS3args {
        object: dir.clone(),
        access: 0x3f,
    };
    let access = client.access(&access).await.unwrap().unwrap().access;
    assert_eq!(access, ACCESS3_READ | ACCESS3_LOOKUP);
    let info = client.fsinfo(&dir.clone().into()).await.unwrap().unwrap();
    assert_eq!(
        (info.rtmax, info.maxfilesize),
        (debridfs_nfs::RTMAX, i64::MAX as u64)
    );
    let stat = client.fsstat(&dir.clone().into()).await.unwrap().unwrap();
    assert_eq!((stat.tbytes, stat.fbytes, stat.tfiles), (3_000_006, 0, 5));
    let conf = client.pathconf(&dir.clone().into()).await.unwrap().unwrap();
    assert_eq!((conf.name_max, conf.no_trunc), (255, true));
    let args = READLINK3args { symlink: film };
    let link = client.readlink(&args).await.unwrap();
    assert_eq!(status(link), nfsstat3::NFS3ERR_INVAL);
}

#[tokio::test]
async fn mounts_are_of_what_is_exported_and_to_whom() {
    let mut foreign = export("foreign", "");
    foreign.networks = vec!["192.0.2.0/24".parse().unwrap()];
    let mut careful = export("careful", "");
    careful.insecure = false;
    let exports = vec![
        export("all", ""),
        export("films", "/films/"),
        foreign,
        careful,
    ];
    let served = Served::with(library(), exports).await;
    let refused = async |path: &str| served.mount(path).await.err().unwrap();
    for (path, word) in [
        ("/foreign", "MNT3ERR_ACCES"),
        ("/careful", "MNT3ERR_ACCES"),
        ("/nothing", "MNT3ERR_NOENT"),
        ("/", "MNT3ERR_NOENT"),
        ("/films/..", "MNT3ERR_NOENT"),
        ("/all/films/film.mkv", "MNT3ERR_NOTDIR"),
        ("/all/none", "MNT3ERR_NOENT"),
    ] {
        let error = refused(path).await;
        assert!(error.contains(word), "{path}: {error}");
    }
    let mut below = served.mount("/all/films/").await.unwrap();
    handle(&mut below, "film.mkv").await;
    let list = below.mount_client.export().await.unwrap().0;
    let names = list.iter().map(|export| export.ex_dir.0.to_vec());
    let names: Vec<_> = names.map(|name| String::from_utf8(name).unwrap()).collect();
    assert_eq!(names, ["/all", "/films", "/careful"]);
    let dump = below.mount_client.dump().await.unwrap().0;
    assert_eq!(&dump[0].ml_directory.0[..], b"/all/films");
    below.mount_client.umntall().await.unwrap();
    assert!(below.mount_client.dump().await.unwrap().0.is_empty());
}

#[tokio::test]
async fn a_handle_is_good_for_its_export_and_its_clients_alone() {
    let mut foreign = export("foreign", "");
    foreign.networks = vec!["192.0.2.0/24".parse().unwrap()];
    let (hidden, fsid) = (foreign.fsid, Export::default_fsid("gone"));
    let served = Served::with(library(), vec![export("all", ""), foreign]).await;
    let mut client = served.mount("/all").await.unwrap();
    let told = async |client: &mut Connection, handle: Vec<u8>| {
        let object = nfs_fh3 {
            data: Opaque::owned(handle),
        };
        status(client.getattr(&object.into()).await.unwrap())
    };
    let seal = Seal::new(&KEY);
    let of = |fsid, node| seal.handle(fsid, node).to_vec();
    let all = Export::default_fsid("all");
    assert_eq!(told(&mut client, of(all, SECRET)).await, nfsstat3::NFS3_OK);
    // Under the right key, as if another client had given it away.
    assert_eq!(
        told(&mut client, of(hidden, SECRET)).await,
        nfsstat3::NFS3ERR_ACCES
    );
    assert_eq!(
        told(&mut client, of(fsid, SECRET)).await,
        nfsstat3::NFS3ERR_STALE
    );
    assert_eq!(
        told(&mut client, of(all, NodeId(99))).await,
        nfsstat3::NFS3ERR_STALE
    );
    let mut made_up = of(all, SECRET);
    made_up[23] ^= 1;
    assert_eq!(told(&mut client, made_up).await, nfsstat3::NFS3ERR_STALE);
    let other = Seal::new(&[8; 32]).handle(all, SECRET).to_vec();
    assert_eq!(told(&mut client, other).await, nfsstat3::NFS3ERR_STALE);
    for bad in [vec![], vec![1; 39], vec![0; 40], vec![1; 64]] {
        assert_eq!(told(&mut client, bad).await, nfsstat3::NFS3ERR_BADHANDLE);
    }
}

#[tokio::test]
async fn a_client_may_say_nothing_for_longer_than_linux_does() {
    let served = Served::with(library(), vec![export("all", "")]).await;
    let mut client = served.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    // Linux closes a connection after 5 minutes without a call.
    pass(Duration::from_secs(310)).await;
    // A client that others wrote waits for ever at a closed connection.
    let asked = tokio::time::timeout(Duration::from_secs(20), read(&mut client, &film, 0, 9));
    assert!(asked.await.expect("an answer").is_ok());
    pass(Duration::from_secs(370)).await;
    while served.listeners.report()[0].connections > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Lets time pass in which nothing comes over the network.
async fn pass(time: Duration) {
    tokio::time::pause();
    let until = tokio::time::Instant::now() + time;
    while tokio::time::Instant::now() < until {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
}

#[tokio::test]
async fn an_export_follows_its_path_and_one_of_nothing_is_told_of() {
    let vfs = std::sync::Arc::new(library());
    let (exports, limit) = (vec![export("all", ""), export("new", "new/films")], LONG);
    let served = Served::at("127.0.0.1:0", vfs.clone(), exports, limit).await;
    assert_eq!(served.server.report().missing, ["new"]);
    let refused = served.mount("/new").await.err().expect("no such directory");
    assert!(refused.contains("NOENT"), "{refused}");
    vfs.add_directory(NodeId::ROOT, "new", NodeId(50));
    assert_eq!(served.server.report().missing, ["new"]);
    vfs.add_directory(NodeId(50), "films", NodeId(51));
    assert!(served.server.report().missing.is_empty());
    let mut client = served.mount("/new").await.unwrap();
    let root = client.root_nfs_fh3();
    // At its top there is nothing above, however often it is asked.
    for _ in 0..2 {
        let above = lookup(&mut client, &root, "..").await.unwrap().object;
        assert_eq!(above, root);
    }
}
