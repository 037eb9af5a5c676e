//! Commands that work on whole stores, and mostly on two of them.

pub(crate) mod compare;
pub(crate) mod copy;
pub(crate) mod migrate;
pub(crate) mod restore;
pub(crate) mod telling;
pub(crate) mod verify;

use larder::without_password;

use crate::{failure::Failure, session::Session, text::shell};

/// These commands are about stores that are named as arguments, and all of what is in them.
fn no_namespace(session: &Session) -> Result<(), Failure> {
    match session.settings.namespace {
        Some(_) => Err(Failure::Usage("this is about all namespaces of a store: leave --namespace away".to_owned())),
        None => Ok(()),
    }
}

/// A store's URL as it may be shown, and typed again.
fn shown(url: &str) -> String {
    shell(&without_password(url))
}
