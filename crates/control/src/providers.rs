//! Accounts at providers: listed, tried, and their pauses after refusals ended.

use std::fmt::Display;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Json;
use axum::routing::{get, post};
use debridfs_content::Ends;
use debridfs_provider::{Account, Error, Priority, Source};
use hyper::Method;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::answer::{Answer, RefusalKind, Refused};
use crate::client::with_arguments;
use crate::server::Engine;
use crate::{CallError, Client, ProviderStatus, RunningEngine, figures};

/// The answer to a list or a test waits for calls to providers.
const LIMIT: Duration = Duration::from_secs(200);
/// An account that does not tell its plan by then is listed without.
const ASKED: Duration = Duration::from_secs(10);
/// A step of a test that takes longer has failed.
const STEP: Duration = Duration::from_secs(45);

#[derive(Debug, Serialize, Deserialize)]
struct Named {
    provider: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Resumed {
    resumed: Vec<String>,
}

/// An account. Scripts rely on `debridfs provider ls --json`: fields are added, never renamed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProviderLine {
    /// As `debridfs status --json` has it.
    #[serde(flatten)]
    pub status: ProviderStatus,
    /// Why the account could not be asked just now.
    pub trouble: Option<String>,
    /// Whether repair adds there by itself what was lost.
    pub may_add_again: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    providers: Vec<ProviderLine>,
}

/// A step of a test of an account. Scripts rely on `debridfs provider test --json`: fields are added, never renamed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TestStep {
    /// `token`, `list`, `link` or `read`.
    pub step: String,
    /// Whether it worked; `None`: it was not made.
    pub ok: Option<bool>,
    /// How long it took, the wait for its turn included in seconds.
    pub seconds: f64,
    /// What came of it; for people.
    pub words: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tested {
    steps: Vec<TestStep>,
}

impl Client {
    /// Lists the accounts, each asked for its plan now.
    pub async fn providers(&self) -> Result<Vec<ProviderLine>, CallError> {
        let listed: Listed = self.call(Method::GET, "/provider", LIMIT).await?;
        Ok(listed.providers)
    }

    /// Tries an account step by step; refused when there is none of that name.
    pub async fn test_provider(&self, name: &str) -> Result<Vec<TestStep>, CallError> {
        let provider = Some(name.to_owned());
        let path = with_arguments("/provider/test", &Named { provider });
        let tested: Tested = self.call(Method::POST, &path, LIMIT).await?;
        Ok(tested.steps)
    }

    /// Ends the pauses of `provider`, or of all: the names of those that paused; refused when there is none of that name.
    pub async fn resume(&self, provider: Option<String>) -> Result<Vec<String>, CallError> {
        let path = with_arguments("/provider/resume", &Named { provider });
        let answer: Resumed = self.post(&path).await?;
        Ok(answer.resumed)
    }
}

/// `GET /provider`, `POST /provider/test?provider=…` and `POST /provider/resume[?provider=…]`.
pub(crate) fn routes() -> Router<std::sync::Arc<RunningEngine>> {
    Router::new()
        .route("/provider", get(list))
        .route("/provider/test", post(test))
        .route("/provider/resume", post(resume))
}

impl RunningEngine {
    /// The accounts, each asked for its plan now.
    pub async fn providers(&self) -> Vec<ProviderLine> {
        let asked = self.parts.providers.iter().map(async |provider| {
            let asked = tokio::time::timeout(ASKED, provider.read_facts(Priority::User)).await;
            let trouble = match asked {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer yet; it is asked again by itself".to_owned()),
            };
            ProviderLine {
                status: figures::provider(&**provider),
                trouble,
                may_add_again: provider.may_add_again(),
            }
        });
        futures_util::future::join_all(asked).await
    }

    /// Tries the account `name` step by step.
    ///
    /// # Errors
    /// There is none of that name.
    pub async fn test_provider(&self, name: &str) -> Result<Vec<TestStep>, Refused> {
        let provider = self.parts.providers.iter().find(|one| one.name() == name);
        let Some(provider) = provider else {
            let words =
                format!("no provider is called {name:?}; `debridfs provider ls` lists them");
            return Err(Refused::new(RefusalKind::NotFound, words));
        };
        let mut trial = Trial::default();
        let token = async {
            provider
                .account(Priority::User)
                .await
                .map(|told| words_of(&told))
        };
        trial.make("token", token).await;
        let list = async {
            let page = provider.torrents(Priority::User, 0, 1).await?;
            Ok::<_, Error>(match page.total {
                Some(total) => format!("{total} entries"),
                None => "answered".to_owned(),
            })
        };
        trial.make("list", list).await;
        let Some((size, source)) = self.any_file_at(name) else {
            let words = "the library has no file of it to try";
            trial.skip("link", words);
            trial.skip("read", words);
            return Ok(trial.steps);
        };
        let link = async {
            let made = provider.unrestrict(Priority::User, &source.link).await?;
            Ok::<_, Error>(format!("made with key {}", made.key))
        };
        trial.make("link", link).await;
        let content = &self.parts.content;
        let read = async {
            match content.ends(size, &source).await {
                Ends::Given { head, tail } => Ok(format!("{} bytes", head.len() + tail.len())),
                Ends::Refused(words) | Ends::Unclear(words) => Err(words),
            }
        };
        trial.make("read", read).await;
        Ok(trial.steps)
    }

    /// Ends the pauses of the account `name`, or of all: the names of those that paused.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn resume(&self, name: Option<&str>) -> Result<Vec<String>, Refused> {
        let all = self.parts.providers.iter();
        let meant: Vec<_> = all
            .filter(|one| name.is_none_or(|name| one.name() == name))
            .collect();
        if let Some(name) = name.filter(|_| meant.is_empty()) {
            let words = format!("no provider is called {name:?}; `debridfs status` lists them");
            return Err(Refused::new(RefusalKind::NotFound, words));
        }
        let paused = meant.into_iter().filter(|one| one.end_pauses());
        let names = paused.map(|one| one.name().to_owned()).collect();
        // After a refused token the next look is a minute away.
        self.parts.catalogue.look_now();
        Ok(names)
    }
}

async fn list(State(engine): Engine) -> Json<Listed> {
    let providers = engine.providers().await;
    Json(Listed { providers })
}

async fn test(State(engine): Engine, Query(named): Query<Named>) -> Answer<Tested> {
    let name = named.provider.unwrap_or_default();
    let steps = engine.test_provider(&name).await?;
    Ok(Json(Tested { steps }))
}

async fn resume(State(engine): Engine, Query(named): Query<Named>) -> Answer<Resumed> {
    let resumed = engine.resume(named.provider.as_deref())?;
    Ok(Json(Resumed { resumed }))
}

fn words_of(account: &Account) -> String {
    let plan = account.plan.as_deref().unwrap_or("premium");
    let plan = match account.premium {
        true => plan,
        false => "no premium",
    };
    match account.expires {
        Some(end) => format!("{plan} until {end}"),
        None => plan.to_owned(),
    }
}

/// Steps that are made as long as they work.
#[derive(Default)]
struct Trial {
    steps: Vec<TestStep>,
    failed: bool,
}

impl Trial {
    async fn make<E: Display>(
        &mut self,
        step: &str,
        made: impl Future<Output = Result<String, E>>,
    ) {
        if self.failed {
            return self.skip(step, "not made, as a step before it failed");
        }
        let begun = Instant::now();
        let made = tokio::time::timeout(STEP, made).await;
        let (ok, words) = match made {
            Ok(Ok(words)) => (true, words),
            Ok(Err(error)) => (false, error.to_string()),
            Err(_) => (false, format!("no answer within {} s", STEP.as_secs())),
        };
        self.failed = !ok;
        self.steps.push(TestStep {
            step: step.to_owned(),
            ok: Some(ok),
            seconds: begun.elapsed().as_secs_f64(),
            words,
        });
    }

    fn skip(&mut self, step: &str, words: &str) {
        self.steps.push(TestStep {
            step: step.to_owned(),
            ok: None,
            seconds: 0.0,
            words: words.to_owned(),
        });
    }
}

impl RunningEngine {
    /// A file of the library that the account has a link for, with its size: the smallest of a release.
    fn any_file_at(&self, provider: &str) -> Option<(u64, Source)> {
        let library = self.parts.catalogue.library().borrow().clone();
        library.all().iter().find_map(|entry| {
            let tree = entry.release.tree()?;
            let files = tree.files.iter().filter_map(|file| {
                let mut sources = tree.sources(file);
                let source = sources.find(|source| source.provider == provider)?;
                Some((file.size, source))
            });
            files
                .filter(|(size, _)| *size > 0)
                .min_by_key(|(size, _)| *size)
        })
    }
}
