//! More operations than a transaction takes: transactions within it.
//!
//! A cluster takes 128 operations in a transaction, and in one within it as many as the outer one has left over. So 64 of 64
//! fit in two levels; they are done as one, and answered as of one revision.

use crate::{
    error::odd,
    message::{Request, RequestOp, Response, ResponseOp, TxnRequest},
};
use larder_core::Result;

/// How many stand on one level; twice that is what a cluster takes at least, unless somebody has made it less.
const LEVEL: usize = 64;

/// How many fit.
pub(crate) const OPERATIONS_MAX: usize = LEVEL * LEVEL;

/// The same operations, in transactions of their own where there are many.
pub(crate) fn nest(operations: Vec<RequestOp>) -> Vec<RequestOp> {
    if operations.len() <= LEVEL {
        return operations;
    }
    let each = operations.len().div_ceil(LEVEL);
    let mut operations = operations.into_iter();
    let mut nested = Vec::with_capacity(LEVEL);
    loop {
        let success: Vec<RequestOp> = operations.by_ref().take(each).collect();
        if success.is_empty() {
            return nested;
        }
        nested.push(Request::Txn(TxnRequest { success, ..TxnRequest::default() }).into());
    }
}

/// What was answered, without the transactions around it, in the order of the operations.
pub(crate) fn flatten(responses: Vec<ResponseOp>) -> Result<Vec<Response>> {
    let mut flat = Vec::with_capacity(responses.len());
    for response in responses {
        match response.response {
            Some(Response::Txn(inner)) => flat.extend(flatten(inner.responses)?),
            Some(range) => flat.push(range),
            None => return Err(odd()),
        }
    }
    Ok(flat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::PutRequest;

    fn put(number: usize) -> RequestOp {
        Request::Put(PutRequest { key: number.to_be_bytes().to_vec().into(), ..PutRequest::default() }).into()
    }

    /// The operations in order, and how many stand at most on each level.
    fn measure(operations: &[RequestOp], level: usize, most: &mut [usize; 2], found: &mut Vec<RequestOp>) {
        most[level] = most[level].max(operations.len());
        for operation in operations {
            match &operation.request {
                Some(Request::Txn(inner)) => measure(&inner.success, level + 1, most, found),
                _ => found.push(operation.clone()),
            }
        }
    }

    #[test]
    fn what_is_nested_is_the_same_in_the_same_order_and_fits() {
        for count in [0, 1, 64, 65, 127, 128, 129, 1000, 4095, OPERATIONS_MAX] {
            let operations: Vec<RequestOp> = (0..count).map(put).collect();
            let (mut most, mut found) = ([0; 2], Vec::new());
            measure(&nest(operations.clone()), 0, &mut most, &mut found);
            assert_eq!(found, operations);
            assert!(most[0] + most[1] <= 128, "{count}: {most:?}");
        }
    }
}
