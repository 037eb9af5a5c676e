//! One run of the program: its settings, its output, and the store it may come to open.
//!
//! Commands check what they were given first and ask for the store then, so that a bad request leaves no file behind.

use larder::{Builder, Durability, Error, ErrorKind, Namespace, Store, without_password};

use crate::{args::Settings, failure::Failure, output::Output, text::shell};

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    /// What has to be closed in the end.
    opened: Vec<Store>,
}

/// What to do where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Create it: the command brings something to keep.
    Create,
    /// Say so: the command only looks, or takes away.
    Tell,
}

impl Session {
    pub(crate) fn new(settings: Settings) -> Self {
        let output = Output::new(settings.json, settings.quiet);
        Self { settings, output, opened: Vec::new() }
    }

    /// The store, bound to the namespace that was asked for.
    pub(crate) async fn open(&mut self, missing: Missing) -> Result<Store, Failure> {
        let namespace = self.namespace()?;
        let url = self.settings.store.clone();
        Ok(self.open_at(&url, missing).await?.in_namespace(&namespace)?)
    }

    /// The store at `url`: for commands that work on more than one.
    pub(crate) async fn open_at(&mut self, url: &str, missing: Missing) -> Result<Store, Failure> {
        let mut builder = Builder::new(url).create(missing == Missing::Create);
        if let Some(durability) = self.settings.durability {
            builder = builder.durability(Durability::from(durability));
        }
        let opened = builder.open().await.map_err(|error| self.not_opened(error, url, missing))?;
        self.opened.push(opened.clone());
        Ok(opened)
    }

    /// The namespace that was asked for.
    pub(crate) fn namespace(&self) -> Result<Namespace, Error> {
        self.settings.namespace.as_deref().map_or_else(|| Ok(Namespace::default()), Namespace::new)
    }

    /// How the program is called so that it meets the same store and namespace again.
    pub(crate) fn call(&self) -> String {
        let mut call = String::from("larder");
        let store = &self.settings.store;
        if *store != crate::args::DEFAULT_STORE && std::env::var("LARDER_STORE").as_ref() != Ok(store) {
            call.push_str(&format!(" --store {}", shell(&without_password(store))));
        }
        if let Some(namespace) = &self.settings.namespace {
            call.push_str(&format!(" -n {}", shell(namespace)));
        }
        call
    }

    /// Ends the run: the answer goes out, the store is closed, and the first thing that went wrong is told.
    pub(crate) async fn end(mut self, answer: Result<(), Failure>) -> Result<(), Failure> {
        let flushed = self.output.flush();
        let mut closed = Ok(());
        for store in &self.opened {
            closed = closed.and(store.close().await);
        }
        answer?;
        flushed?;
        Ok(closed?)
    }

    fn not_opened(&self, error: Error, url: &str, missing: Missing) -> Failure {
        if error.kind() == ErrorKind::NotFound && missing == Missing::Tell && url == self.settings.store {
            let call = self.call();
            let hint = format!("`{call} set KEY VALUE` or `{call} import FILE` begins one; --store names another");
            return Failure::hinted(error, hint);
        }
        error.into()
    }
}
