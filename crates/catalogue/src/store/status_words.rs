//! Words under which states of a torrent are stored: those of Real-Debrid's API.

use debridfs_provider::TorrentStatus;

/// The stored word of a status.
pub(crate) fn word(status: &TorrentStatus) -> &str {
    match status {
        TorrentStatus::MagnetConversion => "magnet_conversion",
        TorrentStatus::WaitingFilesSelection => "waiting_files_selection",
        TorrentStatus::Queued => "queued",
        TorrentStatus::Downloading => "downloading",
        TorrentStatus::Compressing => "compressing",
        TorrentStatus::Uploading => "uploading",
        TorrentStatus::Downloaded => "downloaded",
        TorrentStatus::MagnetError => "magnet_error",
        TorrentStatus::Error => "error",
        TorrentStatus::Virus => "virus",
        TorrentStatus::Dead => "dead",
        TorrentStatus::Other(word) => word,
    }
}

/// The status of a stored word.
pub(super) fn status(word: &str) -> TorrentStatus {
    match word {
        "magnet_conversion" => TorrentStatus::MagnetConversion,
        "waiting_files_selection" => TorrentStatus::WaitingFilesSelection,
        "queued" => TorrentStatus::Queued,
        "downloading" => TorrentStatus::Downloading,
        "compressing" => TorrentStatus::Compressing,
        "uploading" => TorrentStatus::Uploading,
        "downloaded" => TorrentStatus::Downloaded,
        "magnet_error" => TorrentStatus::MagnetError,
        "error" => TorrentStatus::Error,
        "virus" => TorrentStatus::Virus,
        "dead" => TorrentStatus::Dead,
        other => TorrentStatus::Other(other.to_owned()),
    }
}
