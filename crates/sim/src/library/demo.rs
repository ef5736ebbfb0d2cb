//! The demo library. Every title is made up.

use super::{FileSpec, LibrarySpec, LinkMode, ReleaseSpec};
use crate::clip::Clip;
use crate::status::Status;

const GB: u64 = 1_000_000_000;
const MB: u64 = 1_000_000;

pub(super) fn library() -> LibrarySpec {
    let mut releases = vec![
        film(
            "The.Quiet.Meridian.2019.1080p.BluRay.x264-SIM",
            9 * GB + 412_331,
        ),
        film(
            "Harbour.of.Glass.2021.2160p.UHD.BluRay.REMUX.HDR-SIM",
            78 * GB + 17,
        ),
        film("Nine.Lanterns.2017.720p.WEB-DL.AAC2.0-SIM", 3 * GB + 5),
        season(
            "Lighthouse.Keepers.S01.1080p.WEB-DL-SIM",
            "Lighthouse.Keepers",
            8,
        ),
        season_in_folders(),
        test_pictures(),
        test_episodes(),
        index_at_end(),
        documentary(),
        packed(),
        missing_links(),
        duplicate(),
    ];
    for (day, release) in (1u32..).zip(&mut releases) {
        let date = jiff::civil::date(2026, 1 + (day / 28) as i8, (day % 28) as i8 + 1);
        release.added = date
            .at(20, 15, 0, 0)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|at| at.timestamp());
    }
    let mut waiting = film("Copper.Weather.2025.1080p.WEB-DL-SIM", 6 * GB);
    waiting.status = Status::WaitingFilesSelection;
    releases.push(waiting);
    LibrarySpec { seed: 1, releases }
}

fn film(name: &str, bytes: u64) -> ReleaseSpec {
    ReleaseSpec::new(
        name,
        vec![FileSpec::generated(format!("/{name}.mkv"), bytes)],
    )
}

fn season(name: &str, show: &str, episodes: u64) -> ReleaseSpec {
    let files = (1..=episodes)
        .map(|n| {
            FileSpec::generated(
                format!("/{show}.S01E{n:02}.1080p.mkv"),
                2 * GB + n * 1_234_567,
            )
        })
        .collect();
    ReleaseSpec::new(name, files)
}

fn season_in_folders() -> ReleaseSpec {
    let show = "Salt.and.Signal";
    let mut files = Vec::new();
    for season in 1..=2u64 {
        for episode in 1..=6u64 {
            let base = format!("/Season {season}/{show}.S{season:02}E{episode:02}.1080p");
            files.push(FileSpec::generated(
                format!("{base}.mkv"),
                GB + season * 31_337 + episode,
            ));
            files.push(FileSpec::clip(format!("{base}.en.srt"), Clip::Subtitles));
        }
    }
    let mut proof = FileSpec::generated("/Extras/cover.jpg", 240_000);
    proof.selected = false;
    files.push(proof);
    ReleaseSpec::new("Salt.and.Signal.Complete.1080p.BluRay-SIM", files)
}

fn test_pictures() -> ReleaseSpec {
    ReleaseSpec::new(
        "Test.Pictures.2024.180p.WEB-DL-SIM",
        vec![
            FileSpec::clip("/Test.Pictures.2024.180p.mkv", Clip::Film),
            FileSpec::clip("/Subs/Test.Pictures.2024.180p.en.srt", Clip::Subtitles),
        ],
    )
}

fn test_episodes() -> ReleaseSpec {
    let files = (1..=3)
        .map(|n| FileSpec::clip(format!("/Colour.Bars.S01E{n:02}.180p.mkv"), Clip::Episode))
        .collect();
    ReleaseSpec::new("Colour.Bars.S01.180p.WEB-DL-SIM", files)
}

fn index_at_end() -> ReleaseSpec {
    ReleaseSpec::new(
        "Late.Index.2023.180p.mp4",
        vec![FileSpec::clip(
            "/Late.Index.2023.180p.mp4",
            Clip::IndexAtEnd,
        )],
    )
}

fn documentary() -> ReleaseSpec {
    ReleaseSpec::new(
        "Les.Étés.Boréaux.2020.MULTi.1080p-SIM",
        vec![
            FileSpec::generated("/Les.Étés.Boréaux.2020.mkv", 5 * GB + 99),
            FileSpec::generated("/北の夏.mp3", 9 * MB),
            FileSpec::generated("/about.nfo", 4_321),
        ],
    )
}

fn packed() -> ReleaseSpec {
    let mut release = ReleaseSpec::new(
        "Paper.Orchard.2018.1080p.PACKED-SIM",
        vec![
            FileSpec::generated("/Paper.Orchard: Part 1.mkv", 700 * MB),
            FileSpec::generated("/Paper.Orchard: Part 2.mkv", 800 * MB),
            FileSpec::clip("/readme.srt", Clip::Subtitles),
        ],
    );
    release.links = LinkMode::Packed;
    release
}

fn missing_links() -> ReleaseSpec {
    let mut release = season("Hollow.Parade.S01.1080p.WEB-DL-SIM", "Hollow.Parade", 5);
    release.links = LinkMode::Missing(2);
    release
}

fn duplicate() -> ReleaseSpec {
    let mut release = film("Second.Tide.2022.1080p.WEB-DL-SIM", 4 * GB + 1);
    release.copies = 2;
    release
}
