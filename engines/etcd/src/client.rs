//! The way to a cluster: one connection to each of its members, of which one is asked as long as it answers.
//!
//! What certainly has not been done is tried with the next member. What may have been done is only ever asked again when it
//! changes nothing.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::uri::PathAndQuery;
use larder_core::{Error, ErrorKind, Result};
use prost::Message;
use tokio::time::{Instant, sleep, timeout};
use tonic::{
    Request,
    client::Grpc,
    metadata::{AsciiMetadataValue, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_prost::ProstCodec;

use crate::{
    config::{EtcdConfig, Login, Tls},
    error::{Attempt, Failure, So, silent, unavailable},
    message::{AuthenticateRequest, AuthenticateResponse},
    runtime,
};

/// Something that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    path: &'static str,
    /// Whether it is no harm to ask twice, whatever became of the first time.
    again: bool,
}

pub(crate) const RANGE: Question = Question { path: "/etcdserverpb.KV/Range", again: true };
pub(crate) const READ: Question = Question { path: "/etcdserverpb.KV/Txn", again: true };
pub(crate) const WRITE: Question = Question { path: "/etcdserverpb.KV/Txn", again: false };
/// A step of which it is known that doing it twice is no harm.
pub(crate) const PAGE: Question = Question { path: "/etcdserverpb.KV/Txn", again: true };
pub(crate) const COMPACT: Question = Question { path: "/etcdserverpb.KV/Compact", again: true };
pub(crate) const STATUS: Question = Question { path: "/etcdserverpb.Maintenance/Status", again: true };
pub(crate) const DEFRAGMENT: Question = Question { path: "/etcdserverpb.Maintenance/Defragment", again: true };
pub(crate) const ALARM: Question = Question { path: "/etcdserverpb.Maintenance/Alarm", again: true };
const AUTHENTICATE: Question = Question { path: "/etcdserverpb.Auth/Authenticate", again: true };

/// How much of the patience one member is given to answer what can be asked elsewhere.
const SHARE: u32 = 5;
/// The same for what cannot: whoever asked has to find out what became of it in the time that is left.
const SHARE_OF_WRITES: u32 = 2;
/// How long nobody is asked when none of them could do it, the first time.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a login that was good is renewed for one question.
const LOGINS_MAX: u32 = 3;
/// How often an answer of each member is lost before nobody is asked any more.
const LOST_MAX: usize = 3;
/// Answers are as large as what is asked for, which is bounded where it is asked.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// A connection on which nothing moves is looked after this often; servers take more than one in five seconds for rude.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A cluster.
pub(crate) struct Client {
    members: Vec<Member>,
    /// Which of them is asked.
    asked: AtomicUsize,
    login: Option<Login>,
    token: Mutex<Option<AsciiMetadataValue>>,
    patience: Duration,
}

#[derive(Debug)]
struct Member {
    name: String,
    channel: Channel,
}

impl Client {
    /// The way there; nobody is asked yet.
    pub(crate) async fn new(config: &EtcdConfig) -> Result<Self> {
        let tls = config.tls.as_ref().map(trusting).transpose()?;
        let endpoint = |name: &String| endpoint(name, tls.clone(), config.patience);
        let endpoints = config.members.iter().map(endpoint).collect::<Result<Vec<_>>>()?;
        // Connections belong to the threads on which they are begun.
        let channels = async { endpoints.iter().map(Endpoint::connect_lazy).collect::<Vec<_>>() };
        let channels = runtime::within(channels).await?;
        let names = config.members.iter().cloned();
        let members: Vec<Member> = names.zip(channels).map(|(name, channel)| Member { name, channel }).collect();
        // Processes begin with different members, so that not all go to the same one.
        let asked = AtomicUsize::new(std::process::id() as usize % members.len());
        let (login, patience) = (config.login.clone(), config.patience);
        Ok(Self { members, asked, login, token: Mutex::default(), patience })
    }

    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// Asks until somebody answers, or until it is not known whether something was done, or until patience is at its end.
    pub(crate) async fn ask<Q, A>(&self, question: Question, message: &Q) -> Attempt<A>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        runtime::within(self.ask_in_turn(question, message)).await?
    }

    /// Asks this member alone, and gives it all the time that there is.
    pub(crate) async fn ask_one<Q, A>(&self, member: usize, question: Question, message: &Q) -> Attempt<A>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let asked = async {
            let token = self.token(member).await?;
            self.once(member, question, message.clone(), token, self.patience).await
        };
        runtime::within(asked).await?
    }

    async fn ask_in_turn<Q, A>(&self, question: Question, message: &Q) -> Attempt<A>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let end = Instant::now() + self.patience;
        let share = self.patience / if question.again { SHARE } else { SHARE_OF_WRITES };
        let (mut unreached, mut logins, mut pause, mut lost) = (0, 0, PAUSE, 0);
        loop {
            let member = self.asked.load(Ordering::Relaxed) % self.members.len();
            let left = end.saturating_duration_since(Instant::now()).min(share);
            let answer = match self.token(member).await {
                Ok(token) => self.once(member, question, message.clone(), token, left).await,
                Err(failure) if failure.so == So::Lost => Err(Failure { so: So::Away, ..failure }),
                Err(failure) => Err(failure),
            };
            let failure = match answer {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let is_over = Instant::now() >= end;
            match failure.so {
                So::Refused | So::Full | So::Forgotten | So::Behind => return Err(failure),
                So::Stranger if self.login.is_none() || logins == LOGINS_MAX => return Err(failure),
                So::Stranger => {
                    logins += 1;
                    self.forget_token();
                    continue;
                }
                So::Lost if !question.again || is_over => {
                    self.turn_from(member);
                    return Err(failure);
                }
                So::Lost => lost += 1,
                So::Unreached => unreached += 1,
                _ => {}
            }
            self.turn_from(member);
            // Who was cut off may be there again at once; where that goes on, nobody is there.
            if is_over || unreached >= self.members.len() || lost > LOST_MAX * self.members.len() {
                return Err(failure);
            }
            if failure.so != So::Unreached {
                // A leader is found within seconds; and who could not be reached may be there then.
                unreached = 0;
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(500));
            }
        }
    }

    /// From now on another one is asked, if nobody else has seen to that.
    fn turn_from(&self, member: usize) {
        let next = (member + 1) % self.members.len();
        let _ = self.asked.compare_exchange(member, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    async fn once<Q, A>(
        &self,
        member: usize,
        question: Question,
        message: Q,
        token: Option<AsciiMetadataValue>,
        patience: Duration,
    ) -> Attempt<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let member = &self.members[member];
        let mut request = Request::new(message);
        // A member that has lost the others says so instead of keeping us waiting.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = token {
            request.metadata_mut().insert("token", token);
        }
        let asked = async {
            let mut way = Grpc::new(member.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
            way.ready().await.map_err(|error| Failure {
                so: So::Unreached,
                error: unavailable("it cannot be reached").caused_by(error.to_string()),
            })?;
            let path = PathAndQuery::from_static(question.path);
            let answer = way.unary(request, path, ProstCodec::<Q, A>::default()).await?;
            Ok(answer.into_inner())
        };
        match timeout(patience, asked).await {
            Ok(answer) => answer.map_err(|failure: Failure| told(member, failure)),
            Err(_) => Err(told(member, silent())),
        }
    }

    /// What proves who we are, fetched where there is none.
    async fn token(&self, member: usize) -> Attempt<Option<AsciiMetadataValue>> {
        let Some(login) = &self.login else { return Ok(None) };
        if let Some(token) = &*self.token.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Some(token.clone()));
        }
        let message = AuthenticateRequest { name: login.user.clone(), password: login.password.clone() };
        let share = self.patience / SHARE;
        let answer: AuthenticateResponse = self.once(member, AUTHENTICATE, message, None, share).await?;
        let token = AsciiMetadataValue::try_from(answer.token).map_err(|_| crate::error::odd())?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(Some(token))
    }

    fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("members", &self.members).finish_non_exhaustive()
    }
}

/// The same failure, and whose it is.
fn told(member: &Member, failure: Failure) -> Failure {
    let message = match failure.so {
        So::Unreached => format!("the etcd member at {} cannot be reached", member.name),
        _ => format!("{} (asked at {})", failure.error.message(), member.name),
    };
    let kind = failure.error.kind();
    Failure { error: failure.error.as_kind(kind, message), ..failure }
}

fn endpoint(name: &str, tls: Option<ClientTlsConfig>, patience: Duration) -> Result<Endpoint> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let wrong = |error: tonic::transport::Error| {
        Error::invalid("the certificates or hosts of the cluster cannot be used").engine("etcd").caused_by(error.to_string())
    };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{name}")).map_err(wrong)?;
    let endpoint = match tls {
        Some(tls) => endpoint.tls_config(tls).map_err(wrong)?,
        None => endpoint,
    };
    let endpoint = endpoint.connect_timeout(patience / SHARE).tcp_nodelay(true);
    // The windows of the protocol are small for values of a MiB.
    let endpoint = endpoint.initial_stream_window_size(4 << 20).initial_connection_window_size(16 << 20);
    Ok(endpoint.http2_keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(patience / SHARE))
}

fn trusting(tls: &Tls) -> Result<ClientTlsConfig> {
    let read = |file: &std::path::Path| {
        std::fs::read(file).map_err(|error| {
            let message = format!("the file {} cannot be read", file.display());
            Error::new(ErrorKind::Invalid, message).engine("etcd").caused_by(error)
        })
    };
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&tls.ca)?));
    Ok(match &tls.identity {
        Some((certificate, key)) => trusting.identity(Identity::from_pem(read(certificate)?, read(key)?)),
        None => trusting,
    })
}
