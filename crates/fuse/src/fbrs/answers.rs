//! What the library was asked in the passes over one request, and what it answered.
//!
//! The passes ask the same in the same order, so an answer is found by its place. The library below
//! is asked once, however many passes there are.

use debridfs_vfs::{Answer, ReadOut, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::given::{Given, Kind};

/// Answers in the order of the questions.
#[derive(Default)]
pub(super) struct Answers {
    given: Vec<Given>,
    /// Questions of this pass so far.
    asked: usize,
}

/// What a question came to.
pub(super) enum Asked<'a, T> {
    Answered(&'a Result<T>),
    Waits(BoxFuture<'static, Given>),
}

impl Answers {
    /// Begins another pass with what was waited for.
    pub(super) fn keep(&mut self, given: Given) {
        self.given.push(given);
        self.asked = 0;
    }

    /// The answer to the next question: of an earlier pass, or of the library itself.
    pub(super) fn ask<T: Kind>(&mut self, question: impl FnOnce() -> Answer<T>) -> Asked<'_, T> {
        if self.asked == self.given.len() {
            match question() {
                Answer::Now(answer) => self.given.push(T::give(answer)),
                Answer::Later(answer) => return Asked::Waits(answer.map(T::give).boxed()),
            }
        }
        let at = self.asked;
        self.asked += 1;
        // The passes ask the same questions: the request is the same, and so is the decoder.
        Asked::Answered(T::of(&self.given[at]).expect("the passes ask alike"))
    }

    /// The bytes of a read.
    pub(super) fn into_read(self) -> Option<ReadOut> {
        self.given.into_iter().find_map(|given| match given {
            Given::Read(answer) => answer.ok(),
            _ => None,
        })
    }
}
