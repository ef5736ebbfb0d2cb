//! What a library must do, a case each.

mod attributes;
mod changes;
mod listing;
mod names;
mod reading;
mod refusals;

use std::fmt::Debug;

use rustix::io::Errno;

use crate::{Account, Capability, Expected, ExpectedFile, Front, Stat};

/// What the cases are tried over.
pub(crate) struct Context<'a> {
    pub(crate) front: &'a dyn Front,
    pub(crate) account: Account,
    pub(crate) expected: Expected,
}

impl Context<'_> {
    fn film(&self) -> &ExpectedFile {
        self.expected.file(crate::expected::FILM)
    }

    /// The attributes of a file; `None` where it is lost and the front tells none of such a file.
    fn stat(&self, file: &ExpectedFile) -> Result<Option<Stat>, String> {
        let told = self.front.stat(&file.path);
        let is_lost = file.path.ends_with(crate::expected::DEAD);
        if is_lost && !self.front.capabilities().contains(&Capability::Lost) {
            // By HTTP, first for a minute as trouble and then as gone.
            expect_error(&file.path, told, &[Errno::IO, Errno::NOENT])?;
            return Ok(None);
        }
        must(&file.path, told).map(Some)
    }

    /// Reads a part of a file and compares it.
    fn reads_right(&self, file: &ExpectedFile, offset: u64, length: usize) -> Verdict {
        let read = self.front.read(&file.path, offset, length);
        let read =
            read.map_err(|errno| format!("{} at {offset}, {length} bytes: {errno}", file.path))?;
        let right = file.bytes(offset, length);
        if read == right {
            return Ok(());
        }
        let (read, right) = (read.len(), right.len());
        Err(format!(
            "{} at {offset}: {read} bytes, {right} were expected, or others",
            file.path
        ))
    }
}

/// Why something is not as expected.
pub(crate) type Verdict = Result<(), String>;

/// One thing that a library must do.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What a front has to be capable of.
    pub(crate) needs: &'static [Capability],
    pub(crate) try_it: fn(&Context<'_>) -> Verdict,
}

macro_rules! cases {
    ($($module:ident::$name:ident [$($need:ident),*])*) => {
        /// All cases, in the order in which they are tried: what changes the account comes last.
        pub(crate) const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            needs: &[$(Capability::$need),*],
            try_it: $module::$name,
        }),*];
    };
}

cases! {
    names::every_file_is_found []
    names::unicode_names_are_found []
    names::names_with_signs_are_found []
    names::names_with_signs_of_posix_are_found []
    names::the_longest_names_are_found []
    names::a_missing_name_is_not_found []
    names::another_case_is_not_found [Case]
    names::another_normal_form_is_not_found [Case]
    names::a_name_that_is_too_long_is_told_so [Errors]
    names::a_file_has_no_names_in_it [Errors]
    listing::the_root_has_its_views [List]
    listing::every_directory_is_listed_in_full [List]
    listing::names_with_signs_of_posix_are_listed [List]
    listing::a_large_directory_is_listed_in_full [List]
    listing::a_listing_is_the_same_twice [List]
    listing::a_file_cannot_be_listed [List, Errors]
    listing::a_missing_directory_cannot_be_listed [List]
    attributes::sizes_and_kinds_are_told []
    attributes::attributes_do_not_change []
    attributes::times_are_those_of_the_release [Times]
    attributes::link_counts_are_right [List, Links]
    attributes::nobody_may_write [Modes]
    attributes::inode_numbers_are_those_of_the_content [Inodes]
    reading::every_file_is_read_right []
    reading::files_with_signs_of_posix_are_read_right []
    reading::an_empty_file_is_empty []
    reading::a_read_of_nothing_is_empty [Ranges]
    reading::reads_at_the_end_are_short [Ranges]
    reading::reads_beyond_the_end_are_empty [Ranges]
    reading::unaligned_reads_are_right [Ranges]
    reading::large_reads_are_right [Ranges]
    reading::readers_beside_each_other_read_right [Ranges]
    reading::what_the_provider_lost_is_an_error []
    reading::a_directory_cannot_be_read [Errors]
    refusals::nothing_can_be_changed [Writes]
    refusals::nothing_can_be_opened_for_writing [Writes]
    refusals::what_is_no_link_points_nowhere [Symlinks]
    changes::what_is_added_shows_and_what_is_removed_goes []
    changes::a_listing_survives_changes [Parts]
}

/// What is not as it should be, with what it was about.
fn expect<T: PartialEq + Debug>(what: &str, seen: T, right: T) -> Verdict {
    if seen == right {
        Ok(())
    } else {
        Err(format!("{what}: {seen:?}, expected {right:?}"))
    }
}

/// Something has to fail in one of these ways.
fn expect_error<T: Debug>(what: &str, seen: Result<T, Errno>, right: &[Errno]) -> Verdict {
    match seen {
        Err(errno) if right.contains(&errno) => Ok(()),
        Err(errno) => Err(format!("{what}: {errno}, expected {right:?}")),
        Ok(seen) => Err(format!("{what}: {seen:?}, expected {right:?}")),
    }
}

/// Turns the error of something that must not fail into the reason.
fn must<T>(what: &str, seen: Result<T, Errno>) -> Result<T, String> {
    seen.map_err(|errno| format!("{what}: {errno}"))
}
