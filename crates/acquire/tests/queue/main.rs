//! The queue and its fronts over the simulated provider, in one process.
//!
//! What the arrs hold us to, and where it is tested (`mounted` are the tests of the whole program, `crates/debridfs/tests/mounted`):
//!
//! | contract | test |
//! |---|---|
//! | the test of an arr | `api::the_test_of_an_arr_passes`; every arr's: `mounted::actions::every_arr_grabs_and_imports_with_its_own_calls` |
//! | 403 without a session, login, retry | `logins::a_session_is_needed_and_ends` |
//! | Bearer key | `logins::keys_and_basic_credentials_do_without_a_session`; Sonarr 5 in `mounted::actions` |
//! | magnet, file, `stopped` and `paused` | `api::files_are_taken_and_stopped_is_heard_in_both_dialects` |
//! | states from `queuedDL` to `stoppedUP` | `api::a_grab_walks_through_its_states` |
//! | several hashes and `all` | `api::several_and_all_are_deleted` |
//! | a category for one hash alone | `api::set_category_touches_only_the_hashes_it_is_given` |
//! | a SABnzbd's test, "Failed" in its history | `sab::the_test_of_an_arr_passes`, `sab::what_failed_is_failed_with_its_reason_and_can_be_retried`, `mounted::actions::with_a_sabnzbd_beside_the_qbittorrent_a_dead_grab_is_blocklisted` |
//! | a grab that fails later is blocklisted by the arr's own API | `failing::a_dead_grab_is_blocklisted_and_another_one_is_complete`, for Sonarr, Radarr and Lidarr |
//! | Lidarr, Readarr and Whisparr | `mounted::actions::every_arr_grabs_and_imports_with_its_own_calls` |
//! | 10 000 downloads | `api::ten_thousand_are_answered_from_memory` |
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod again;
mod api;
mod every_call;
mod failing;
mod fetched;
mod grabs;
mod killed;
mod large;
mod logins;
mod model;
mod requests;
mod sab;
mod several;
mod shape;
mod stored;
mod support;
mod tools;
mod trash;
