//! Nothing but tests: what is in `deploy/` is what the API of Kubernetes takes, and says what the documents say.
#![forbid(unsafe_code)]
