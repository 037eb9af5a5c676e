//! The place: a prefix of a server, found, recognised, created.
//!
//! What is not ours is left as it is. A new store appears whole, or somebody else's of the same moment is taken.

use larder_core::{Durability, Error, ErrorKind, Result, StoreId};
use redis::Value;

use crate::{
    config::RedisConfig,
    error::corrupt,
    head::Head,
    layout::Keys,
    lineage::{notice_lost_past, read_state},
    server,
    session::Session,
};

/// Finds the store, and creates it where there is none; answers which one it is and how durable.
pub(crate) async fn open(config: &RedisConfig, fresh: StoreId) -> Result<(StoreId, Durability)> {
    let keys = Keys::new(&config.prefix);
    let session = Session::connect(config, keys.state().into()).await?;
    let server = server::judge(&session, config).await?;
    let found = look(&session, &keys, config).await?;
    if found.is_none() && !config.create {
        let message = format!("there is no store under the prefix {:?} of the server at {}", config.prefix, config.place());
        return Err(Error::new(ErrorKind::NotFound, message).engine("redis"));
    }
    if found.is_none() {
        let head = Head { life: server.life.mark(), ..Head::new(fresh) };
        // When somebody was faster, theirs is the store.
        session.write(session.change(&head)).await.map_err(Error::from)?;
    }
    notice_lost_past(&session, &server.life).await?;
    let head = look(&session, &keys, config).await?.ok_or_else(|| corrupt("its state is gone"))?;
    Ok((head.store, server.durability))
}

/// What stands under the prefix, judged without touching it.
async fn look(session: &Session, keys: &Keys, config: &RedisConfig) -> Result<Option<Head>> {
    if let Some(state) = read_state(session).await.map_err(Error::from)? {
        return Head::read(&state).map(Some);
    }
    let mut exists = redis::cmd("EXISTS");
    exists.arg(keys.state()).arg(keys.fixed());
    match session.run(&exists).await.map_err(Error::from)? {
        Value::Int(0) => Ok(None),
        _ => {
            let message = format!(
                "what stands under the prefix {:?} of the server at {} belongs to another program, or is what is left of a \
                 Larder store; it was left as it is",
                config.prefix,
                config.place()
            );
            Err(Error::invalid(message).engine("redis"))
        }
    }
}
