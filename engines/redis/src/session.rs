//! A session: one connection, over which many callers ask without waiting for each other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    vec,
};

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisError, RedisResult, Value, aio::MultiplexedConnection};

use crate::{
    config::RedisConfig,
    error::{Attempt, Failure, corrupt, explain, torn, unavailable},
    head::Head,
    library, runtime,
};

/// A connection to the server, with the functions at its other end.
pub(crate) struct Session {
    connection: MultiplexedConnection,
    gone: AtomicBool,
    /// The key of the state, which is watched, and which every function is given.
    state: Arc<str>,
}

/// A function to be called, with what it is told, or a command of the server's own.
pub(crate) struct Call {
    command: Cmd,
}

impl Session {
    /// Connects, without having looked at what is there.
    pub(crate) async fn connect(config: &RedisConfig, state: Arc<str>) -> Result<Self> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.patience))
            .set_response_timeout(Some(config.patience));
        let config = config.clone();
        runtime::elsewhere(async move {
            let connecting = async {
                let connected = config.client().await?.get_multiplexed_async_connection_with_config(&settings).await;
                connected.map_err(|error| not_connected(&config, &error))
            };
            // The driver bounds its steps, and looking up a name is none of them.
            let connected = tokio::time::timeout(config.patience, connecting).await;
            let connection =
                connected.map_err(|_| unavailable(format!("the server at {} has not answered", config.place())))??;
            Ok(Self { connection, gone: AtomicBool::new(false), state })
        })
        .await
    }

    /// Whether the connection is known to be gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Asks, and brings the functions first where the server has not got them.
    async fn call(&self, call: &Call) -> Attempt<Value> {
        match self.run(&call.command).await {
            Err(Failure::Refused(error)) if is_missing(&error) => {
                self.load().await?;
                self.run(&call.command).await
            }
            other => other,
        }
    }

    /// Runs a command.
    pub(crate) async fn run(&self, command: &Cmd) -> Attempt<Value> {
        let mut connection = self.connection.clone();
        told(self.heard(runtime::within(connection.send_packed_command(command)).await?)?)
    }

    /// What was answered, if anything was.
    fn heard<T>(&self, answer: RedisResult<T>) -> Attempt<T> {
        let failure = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => Failure::from(error),
        };
        if matches!(failure, Failure::Lost(_)) {
            // What was asked after this is not answered in time either.
            self.gone.store(true, Ordering::Release);
        }
        Err(failure)
    }

    /// Runs commands one after the other; each is answered by itself, and may have been refused.
    async fn run_all(&self, trip: &Trip) -> Attempt<Vec<Value>> {
        let mut connection = self.connection.clone();
        let Trip { commands, .. } = trip;
        self.heard(runtime::within(connection.send_packed_commands(commands, 0, commands.len())).await?)
    }

    /// Asks several things in one trip, each of its own moment; brings the functions first where the server has not got them.
    pub(crate) async fn ask_all(&self, trip: &Trip) -> Attempt<Answers> {
        let mut answers = match answered(self.run_all(trip).await?) {
            Err(Failure::Refused(error)) if is_missing(&error) => {
                self.load().await?;
                answered(self.run_all(trip).await?)?
            }
            other => other?,
        };
        Ok(Answers(answers.split_off(trip.silent).into_iter()))
    }

    /// Commands to be sent in one trip.
    pub(crate) fn trip(&self) -> Trip {
        Trip { commands: redis::pipe(), silent: 0 }
    }

    /// The same, of which the first has the state watched: what [`write`](Self::write) is given afterwards happens only if
    /// nobody has touched the state from then on.
    pub(crate) fn watch(&self) -> Trip {
        let mut trip = self.trip();
        // Without `MULTI`, what is to happen whole would happen piece by piece. So whoever may not do that is told before
        // there is anything to be done. What was watched before is forgotten with it.
        trip.command("MULTI");
        trip.command("DISCARD");
        trip.command("WATCH").arg(&*self.state);
        trip.silent = 3;
        trip
    }

    /// Calls a function that reads, with the state watched from just before.
    pub(crate) async fn ask_watched(&self, call: Call) -> Attempt<Answers> {
        let mut trip = self.watch();
        trip.add(call.command);
        Ok(self.ask_all(&trip).await?.list()?)
    }

    /// A change that makes `head` the state, to be filled with what else it does and given to [`write`](Self::write).
    pub(crate) fn change(&self, head: &Head) -> Trip {
        let mut trip = self.trip();
        trip.command("MULTI");
        trip.command("SET").arg(&*self.state).arg(head.write());
        trip
    }

    /// Makes a change, whole or not at all; whether nobody has touched the state since it was watched over this connection.
    /// Over any other, and later, it would not be the same: the server forgets with a connection what was watched over it.
    pub(crate) async fn write(&self, mut change: Trip) -> Attempt<bool> {
        change.command("EXEC");
        let mut answers = self.run_all(&change).await?;
        match answers.pop() {
            Some(Value::Nil) => Ok(false),
            Some(Value::Array(done)) => whole(done),
            // It was not even begun, and what was to wait for its end has not waited.
            Some(Value::ServerError(_)) if matches!(answers.first(), Some(Value::ServerError(_))) => whole(answers),
            // Nothing happens if one of the commands was refused when it came. The first of them says why.
            Some(aborted @ Value::ServerError(_)) => {
                answers.push(aborted);
                answered(answers)?;
                Err(odd().into())
            }
            _ => Err(odd().into()),
        }
    }

    /// Calls a function that reads.
    pub(crate) async fn ask(&self, call: &Call) -> Attempt<Answers> {
        match self.call(call).await? {
            Value::Array(answers) => Ok(Answers(answers.into_iter())),
            _ => Err(odd().into()),
        }
    }

    async fn load(&self) -> Attempt<()> {
        match self.run(redis::cmd("FUNCTION").arg("LOAD").arg(library::code())).await {
            Err(Failure::Refused(error)) if says(&error, "already exists") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// A function that reads.
    pub(crate) fn function(&self, name: &str) -> Call {
        Call::reading(name, &self.state)
    }

    pub(crate) fn state(&self) -> &str {
        &self.state
    }
}

impl From<Cmd> for Call {
    fn from(command: Cmd) -> Self {
        Self { command }
    }
}

impl Call {
    /// A function that reads, over the store with this key of its state.
    pub(crate) fn reading(name: &str, state: &str) -> Self {
        let mut command = redis::cmd("FCALL_RO");
        command.arg(format!("{}_{name}", *library::NAME)).arg(1).arg(state);
        Self { command }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<[u8]>) -> Self {
        self.push(arg);
        self
    }

    pub(crate) fn push(&mut self, arg: impl AsRef<[u8]>) {
        self.command.arg(arg.as_ref());
    }

    pub(crate) fn number(self, number: impl ToString) -> Self {
        self.arg(number.to_string())
    }

    pub(crate) fn flag(self, flag: bool) -> Self {
        self.arg(if flag { "1" } else { "0" })
    }
}

/// Commands that go in one trip.
pub(crate) struct Trip {
    commands: Pipeline,
    /// How many of the first are answered with nothing that anybody wants to know.
    silent: usize,
}

impl Trip {
    /// One more command, to be given its words.
    pub(crate) fn command(&mut self, name: &str) -> &mut Pipeline {
        self.commands.cmd(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// One more command, with its words.
    pub(crate) fn add(&mut self, command: Cmd) {
        self.commands.add_command(command);
    }
}

/// The answer, if it is none that refuses.
fn told(answer: Value) -> Attempt<Value> {
    match answer {
        Value::ServerError(error) => Err(RedisError::from(error).into()),
        answer => Ok(answer),
    }
}

/// The answers, if none refuses; else why the first does.
fn answered(answers: Vec<Value>) -> Attempt<Vec<Value>> {
    answers.into_iter().map(told).collect()
}

/// Whether all of a change was made, of which these are the answers. Commands are refused when they come, before anything
/// happens; so all of it is, or somebody has changed the rights or the data of the store behind our back.
fn whole(done: Vec<Value>) -> Attempt<bool> {
    let refused = done.iter().filter(|answer| matches!(answer, Value::ServerError(_))).count();
    let is_torn = refused < done.len();
    match answered(done) {
        Ok(_) => Ok(true),
        Err(Failure::Refused(error)) if is_torn => Err(Failure::Torn(torn(&error))),
        Err(failure) => Err(failure),
    }
}

/// What a function answers, part by part.
pub(crate) struct Answers(vec::IntoIter<Value>);

impl Answers {
    /// What `value` holds.
    pub(crate) fn of(value: Value) -> Result<Self> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(odd()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The next part, which is bytes or nothing.
    pub(crate) fn bytes(&mut self) -> Result<Option<Bytes>> {
        match self.0.next() {
            Some(Value::BulkString(bytes)) => Ok(Some(bytes.into())),
            Some(Value::Nil) => Ok(None),
            _ => Err(odd()),
        }
    }

    /// The next part, which is bytes.
    pub(crate) fn some_bytes(&mut self) -> Result<Bytes> {
        self.bytes()?.ok_or_else(odd)
    }

    /// The next part, which is a number.
    pub(crate) fn number(&mut self) -> Result<u64> {
        match self.0.next() {
            Some(Value::Int(number)) => u64::try_from(number).map_err(|_| odd()),
            Some(Value::BulkString(text)) => {
                std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or_else(odd)
            }
            _ => Err(odd()),
        }
    }

    /// The next part, which has parts of its own.
    pub(crate) fn list(&mut self) -> Result<Self> {
        self.0.next().map_or_else(|| Err(odd()), Self::of)
    }

    /// The parts that are left, which are bytes.
    pub(crate) fn all_bytes(mut self) -> Result<Vec<Bytes>> {
        (0..self.len()).map(|_| self.some_bytes()).collect()
    }
}

fn odd() -> Error {
    corrupt("the server answers what it was not asked")
}

fn says(error: &Error, words: &str) -> bool {
    error.to_string().contains(words)
}

fn is_missing(error: &Error) -> bool {
    error.kind() == ErrorKind::Internal && says(error, "Function not found")
}

/// Why there is no connection.
fn not_connected(config: &RedisConfig, error: &RedisError) -> Error {
    let (place, user) = (config.place(), config.user());
    let said = error.to_string();
    if error.kind() == redis::ErrorKind::AuthenticationFailed
        || ["NOAUTH", "WRONGPASS"].iter().any(|code| said.contains(code))
    {
        let message = format!("the server at {place} does not let the user {user:?} in: wrong password, or none");
        return Error::new(ErrorKind::Denied, message).engine("redis");
    }
    if said.contains("ertificate") || said.contains("UnknownCA") {
        let message = format!(
            "the server at {place} and we do not believe each other who we are: cacert=FILE names who vouches for it, cert=FILE \
             and key=FILE what proves to it who we are"
        );
        return Error::new(ErrorKind::Denied, message).engine("redis").caused_by(said);
    }
    if said.contains("DB index is out of range") {
        let message = format!("the server at {place} has no database {}", config.server.redis_settings().db());
        return Error::new(ErrorKind::NotFound, message).engine("redis");
    }
    if error.code().is_some() {
        return explain(error);
    }
    unavailable(format!("the server at {place} cannot be reached")).caused_by(said)
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("state", &self.state).finish_non_exhaustive()
    }
}
