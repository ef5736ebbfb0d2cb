//! Archives that another program wrote (`archives/README.md`).

use debridfs_archive::RarRefusal;

use crate::archive::Archive;

macro_rules! archive {
    ($name:literal) => {
        Archive::of(include_bytes!(concat!("archives/", $name, ".rar")))
    };
}

#[test]
fn stored_files_lie_where_the_headers_say() {
    let film: Vec<u8> = (0..3000u64).map(|i| (i * i / 7 + i) as u8).collect();
    let text = b"plain ".repeat(100);
    for (name, archive) in [
        ("RAR 2", archive!("stored-20")),
        ("RAR 4", archive!("stored-4")),
        ("RAR 5", archive!("stored-5")),
        ("RAR 7", archive!("stored-7")),
    ] {
        let mut members = archive
            .members()
            .unwrap_or_else(|why| panic!("{name}: {why}"));
        members.sort_by(|a, b| a.path.cmp(&b.path));
        let found: Vec<_> = members
            .iter()
            .map(|member| {
                let bytes = archive.read(member.offset..member.offset + member.size);
                (member.path.as_str(), bytes)
            })
            .collect();
        let subtitles = b"1\n00:00:01,000 --> 00:00:02,000\nText\n".to_vec();
        let expected = [
            ("Film/Subs/é.srt", subtitles),
            ("Film/empty.nfo", Vec::new()),
            ("Film/plain.txt", text.clone()),
            ("Film/Лето 北.mkv", film.clone()),
        ];
        assert!(found == expected, "{name}: {:?}", members);
    }
}

#[test]
fn what_cannot_be_read_in_place_is_refused_with_its_reason() {
    for (archive, reason) in [
        (archive!("compressed-4"), RarRefusal::Compressed),
        (archive!("compressed-5"), RarRefusal::Compressed),
        (archive!("encrypted-4"), RarRefusal::Encrypted),
        (archive!("encrypted-5"), RarRefusal::Encrypted),
        (archive!("encrypted-headers-4"), RarRefusal::Encrypted),
        (archive!("encrypted-headers-5"), RarRefusal::Encrypted),
        (archive!("solid-4"), RarRefusal::Solid),
        (archive!("solid-5"), RarRefusal::Solid),
        (archive!("split-5"), RarRefusal::Split),
    ] {
        assert_eq!(archive.members(), Err(reason));
    }
}
