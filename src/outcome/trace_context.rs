//! The identity of a start-up's trace, as W3C Trace Context defines it.

/// The trace of a start-up, and its spans: one for the start-up, and one for each step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) trace: String,
    /// The caller's span.
    pub(crate) parent: Option<String>,
    /// The number of the start-up's span; those of the steps follow.
    root: u64,
}

impl TraceContext {
    /// Continues the caller's trace, or starts one: an invalid TRACEPARENT counts as absent. None if the caller does not
    /// record its trace.
    pub(crate) fn new(traceparent: Option<&str>) -> Option<Self> {
        let root = fastrand::u64(1..=u64::MAX / 2);
        match traceparent.and_then(parse) {
            Some((_, _, false)) => None,
            Some((trace, parent, true)) => Some(Self { trace, parent: Some(parent), root }),
            None => Some(Self { trace: format!("{:032x}", fastrand::u128(1..)), parent: None, root }),
        }
    }

    /// The id of a step's span, or of the start-up's.
    pub(crate) fn span(&self, step: Option<usize>) -> String {
        let offset = step.map_or(0, |step| u64::try_from(step).unwrap_or_default() + 1);
        format!("{:016x}", self.root.wrapping_add(offset))
    }

    /// TRACEPARENT for the programs of a step.
    pub(crate) fn traceparent(&self, step: usize) -> String {
        format!("00-{}-{}-01", self.trace, self.span(Some(step)))
    }
}

/// The trace, the parent's span, and whether the parent records it.
fn parse(text: &str) -> Option<(String, String, bool)> {
    let mut parts = text.trim().split('-');
    let mut hex = |length: usize| {
        let part = parts.next()?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (part.len() == length && part.bytes().all(is_hex)).then(|| part.to_owned())
    };
    let (version, trace, parent, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let is_zero = |id: &str| id.bytes().all(|byte| byte == b'0');
    // A later version may have more parts.
    if version == "ff" || (version == "00" && parts.next().is_some()) || is_zero(&trace) || is_zero(&parent) {
        return None;
    }
    let sampled = u8::from_str_radix(&flags, 16).ok()? & 1 == 1;
    Some((trace, parent, sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[test]
    fn a_valid_parent_is_continued_and_an_invalid_one_ignored() {
        for valid in [format!("00-{TRACE}-{PARENT}-01"), format!("01-{TRACE}-{PARENT}-03-more")] {
            let context = TraceContext::new(Some(&valid));
            let ids = context.map(|context| (context.trace, context.parent));
            assert_eq!(ids, Some((TRACE.into(), Some(PARENT.into()))), "{valid}");
        }
        let zeros = "0".repeat(32);
        for invalid in [
            "",
            "00",
            &format!("ff-{TRACE}-{PARENT}-01"),
            &format!("00-{TRACE}-{PARENT}-01-more"),
            &format!("00-{zeros}-{PARENT}-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-{PARENT}-1"),
        ] {
            let context = TraceContext::new(Some(invalid));
            assert!(
                context.is_some_and(|context| context.parent.is_none() && context.trace != TRACE),
                "{invalid}"
            );
        }
        assert_eq!(TraceContext::new(Some(&format!("00-{TRACE}-{PARENT}-00"))), None);
    }

    #[test]
    fn every_span_has_its_own_id() {
        let context = TraceContext { trace: TRACE.into(), parent: None, root: 255 };
        assert_eq!([context.span(None), context.span(Some(0))], ["00000000000000ff", "0000000000000100"]);
        assert_eq!(context.traceparent(1), format!("00-{TRACE}-0000000000000101-01"));
    }
}
