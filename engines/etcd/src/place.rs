//! The place: a cluster that is new enough, and a prefix that is free or ours.

use larder_core::{Error, ErrorKind, Result};

use crate::{
    client::{Client, STATUS},
    config::EtcdConfig,
    message::{Empty, StatusResponse},
};

/// The first version whose members let transactions be nested, and say when they have no leader.
const OLDEST: (u32, u32) = (3, 4);

/// Asks the cluster who it is, and refuses one that is too old.
pub(crate) async fn judge(client: &Client, config: &EtcdConfig) -> Result<()> {
    let status: StatusResponse = client.ask(STATUS, &Empty {}).await?;
    if is_new_enough(&status.version) {
        return Ok(());
    }
    let (place, found, (major, minor)) = (config.place(), status.version, OLDEST);
    let message = format!("the cluster at {place} is etcd {found:?}; this needs {major}.{minor} or later");
    Err(Error::new(ErrorKind::Unsupported, message).engine("etcd"))
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_clusters_are_told_from_new_ones() {
        for version in ["3.4.0", "3.7.2", "4.0.0-rc.1", "3.10.1"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["3.3.27", "2.3.8", "3", "", "dev"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
