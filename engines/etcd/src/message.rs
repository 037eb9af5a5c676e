//! What is said to a cluster and what it answers: the few messages of etcd's protocol that are needed here, and of them the
//! fields that are.
//!
//! Written by hand after `rpc.proto` of etcd 3.4 to 3.7, whose numbers never change: who builds this needs no `protoc`.

use bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Header {
    #[prost(int64, tag = "3")]
    pub(crate) revision: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    /// The first key behind it; nothing means `key` alone.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) range_end: Bytes,
    /// 0 means all.
    #[prost(int64, tag = "3")]
    pub(crate) limit: i64,
    /// 0 means now.
    #[prost(int64, tag = "4")]
    pub(crate) revision: i64,
    /// [`DESCENDING`], or 0 for as they lie.
    #[prost(int32, tag = "5")]
    pub(crate) sort_order: i32,
    /// Whether the member may answer by itself, without asking the others what is newest.
    #[prost(bool, tag = "7")]
    pub(crate) serializable: bool,
    #[prost(bool, tag = "8")]
    pub(crate) keys_only: bool,
    #[prost(bool, tag = "9")]
    pub(crate) count_only: bool,
}

impl RangeRequest {
    /// A question that is answered by the revision alone; `key` is one that may be asked for.
    pub(crate) fn of_nothing(key: Bytes) -> Self {
        Self { key, count_only: true, ..Self::default() }
    }
}

/// By key, the last one first.
pub(crate) const DESCENDING: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    /// The revision that wrote it last.
    #[prost(int64, tag = "3")]
    pub(crate) mod_revision: i64,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) pairs: Vec<KeyValue>,
    /// How many there are, without a limit.
    #[prost(int64, tag = "4")]
    pub(crate) count: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeleteRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    /// The first key behind it; nothing means `key` alone.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) range_end: Bytes,
}

/// A condition on one key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Compare {
    #[prost(int32, tag = "1")]
    pub(crate) result: i32,
    #[prost(int32, tag = "2")]
    pub(crate) target: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) key: Bytes,
    #[prost(oneof = "Compared", tags = "6")]
    pub(crate) with: Option<Compared>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(crate) enum Compared {
    #[prost(int64, tag = "6")]
    ModRevision(i64),
}

impl Compare {
    const EQUAL: i32 = 0;
    const LESS: i32 = 2;
    const MOD_REVISION: i32 = 2;

    /// Whether the revision that wrote `key` last is this one; of a key that is not there it is 0.
    pub(crate) fn written_at(key: Bytes, revision: i64) -> Self {
        let with = Some(Compared::ModRevision(revision));
        Self { result: Self::EQUAL, target: Self::MOD_REVISION, key, with }
    }

    /// Whether the revision that wrote `key` last is before this one; of a key that is not there it is 0.
    pub(crate) fn written_before(key: Bytes, revision: i64) -> Self {
        Self { result: Self::LESS, ..Self::written_at(key, revision) }
    }
}

/// Either all of `success` or all of `failure`, as of one revision.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TxnRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) success: Vec<RequestOp>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) failure: Vec<RequestOp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RequestOp {
    #[prost(oneof = "Request", tags = "1, 2, 3, 4")]
    pub(crate) request: Option<Request>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Request {
    #[prost(message, tag = "1")]
    Range(RangeRequest),
    #[prost(message, tag = "2")]
    Put(PutRequest),
    #[prost(message, tag = "3")]
    Delete(DeleteRequest),
    #[prost(message, tag = "4")]
    Txn(TxnRequest),
}

impl From<Request> for RequestOp {
    fn from(request: Request) -> Self {
        Self { request: Some(request) }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TxnResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    #[prost(bool, tag = "2")]
    pub(crate) succeeded: bool,
    #[prost(message, repeated, tag = "3")]
    pub(crate) responses: Vec<ResponseOp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResponseOp {
    // What puts and deletes answer is of no interest.
    #[prost(oneof = "Response", tags = "1, 4")]
    pub(crate) response: Option<Response>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Response {
    #[prost(message, tag = "1")]
    Range(RangeResponse),
    #[prost(message, tag = "4")]
    Txn(TxnResponse),
}

/// Forget what was before a revision.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct CompactRequest {
    #[prost(int64, tag = "1")]
    pub(crate) revision: i64,
    /// Whether it is answered only when it is done.
    #[prost(bool, tag = "2")]
    pub(crate) physical: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AuthenticateRequest {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) password: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AuthenticateResponse {
    #[prost(string, tag = "2")]
    pub(crate) token: String,
}

/// How a member is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatusResponse {
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    /// The bytes of its file.
    #[prost(int64, tag = "3")]
    pub(crate) size: i64,
    /// How many of them are in use.
    #[prost(int64, tag = "9")]
    pub(crate) used: i64,
}

/// That something is wrong with a member.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Alarm {
    #[prost(uint64, tag = "1")]
    pub(crate) member: u64,
    #[prost(int32, tag = "2")]
    pub(crate) alarm: i32,
}

impl Alarm {
    /// It has no room left.
    pub(crate) const NO_SPACE: i32 = 1;
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct AlarmRequest {
    #[prost(int32, tag = "1")]
    pub(crate) action: i32,
    #[prost(uint64, tag = "2")]
    pub(crate) member: u64,
    #[prost(int32, tag = "3")]
    pub(crate) alarm: i32,
}

impl AlarmRequest {
    /// Which there are.
    pub(crate) const ALL: Self = Self { action: 0, member: 0, alarm: 0 };

    /// That it is over.
    pub(crate) fn disarm(alarm: &Alarm) -> Self {
        Self { action: 2, member: alarm.member, alarm: alarm.alarm }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AlarmResponse {
    #[prost(message, repeated, tag = "2")]
    pub(crate) alarms: Vec<Alarm>,
}

/// What has nothing in it, or nothing of interest.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Empty {}
