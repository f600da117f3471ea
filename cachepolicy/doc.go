// Package cachepolicy decides, and does nothing else: whether a response may
// be stored and for how long, whether a stored one may answer a request, what
// an unsafe request invalidates, and how a validation freshens. It makes no
// I/O, logs nothing and reads no clock.
//
// # Our words and the RFCs'
//
//	Policy.Storable       RFC 9111 §3, §3.1, §3.3, §3.5; RFC 9110 §9.3.3 (POST); RFC 6585 (never stored)
//	Lifetime.Fresh        freshness_lifetime, RFC 9111 §4.2.1, §4.2.2; RFC 9213 §2.2 (targeted fields)
//	Stored.InitialAge     corrected_initial_age, RFC 9111 §4.2.3; Decision.Age is current_age
//	Policy.Key            the cache key, RFC 9111 §2; VariantKey adds Vary's, §4.1; SearchKey No-Vary-Search's
//	Policy.Matches        selecting header fields match, RFC 9111 §4.1
//	Policy.Reuse          RFC 9111 §4, §5.2.1; RFC 5861 §3; RFC 8246
//	Policy.StaleOnError   RFC 9111 §4.2.4; RFC 5861 §4
//	Policy.SetValidators  RFC 9111 §4.3.1, §4.1
//	Precondition          RFC 9111 §4.3.2; RFC 9110 §13
//	Policy.Freshen        RFC 9111 §4.3.4, §3.2; Policy.FreshenByHead §4.3.5
//	Policy.Invalidates    RFC 9111 §4.4; RFC 9875 §3
//	SelectRanges          RFC 9110 §14, §13.1.5; Combine RFC 9111 §3.4
//	Status                RFC 9211
//
// # The way of a request
//
// Routes.Match finds the Policy. Bypass says whether to look anything up.
// Under Key lies a response, or an Index: then VariantKey with each of its
// Vary sets in turn says where the responses lie. Where something lies under
// SearchedKey, the Index under PathKey may hold a No-Vary-Search, and SearchKey
// stands for Key; the newer of the two counts. Reuse judges it. What comes back
// from the app goes to Storable, or Freshen, and is put under VariantKey of the
// result's own VaryFields, with Index.Add of it under the primary key; where
// others of the resource have Vary and it has not, Adopt gives it theirs.
//
// # Where a choice was open
//
//   - Of a duplicated directive the first counts (RFC 9111 §4.2.1 leaves it
//     or staleness). Malformed freshness is none: the response is stale.
//   - Several lines of Expires lie in the past; several of Date are none.
//   - Age: the first member counts, and one that is no number is ignored, as
//     RFC 9111 §5.1 says, however much stricter another reading would be.
//   - Dates match in any case, as RFC 9111 §4.2 says, with single spaces and
//     GMT only; a wrong weekday is accepted, since the grammar allows it.
//   - A response without Vary, of a resource known to vary, answers only
//     requests that are like its own in what the others vary by (§4.1).
//   - Where what is stored may not be served stale and the app cannot be
//     reached, the answer is 504, else 502 (§5.2.2.2).
//   - Fields that a qualified no-cache or private names reach the visitor who
//     caused the fetch, and are not stored.
//   - A full answer to a validation that may not be stored ends what was.
//   - A restriction is honoured in any form (no-store=1), a permission in
//     its own only.
//   - A field of a request that is not known here is compared with lines
//     joined and without white space around commas: an intermediary may
//     do both to it, so that no app can tell.
//   - A visitor's If-Match and If-Unmodified-Since are evaluated, as a
//     gateway in the app's place may (RFC 9110 §13.1.1).
//   - Heuristics are for listed routes and requests with nothing personal.
//   - 412 and 416 in answer to a condition or range are not stored.
//
// # Deliberate departures
//
//   - Set-Cookie and Set-Cookie2 are never stored nor replayed (RFC 9111 §3.1
//     would have them stored; §7.3 says why not): sessions are the edge's.
//   - An unknown Transfer-Encoding is refused.
//   - The order of languages in Accept-Language matters, although RFC 9110
//     §12.5.4 gives it no meaning: apps do.
//   - Parts are not combined without a strong entity-tag; Last-Modified does
//     not do, however strong.
//   - HEAD's answers are not stored; they freshen what is (§4.3.5) where they
//     could have been stored for everybody as a GET's.
//   - A 304 freshens what was found for its request and nothing else: no other
//     variant, whatever validator it has (§4.3.4). To Authorization it must
//     allow sharing itself (§3.5).
//   - Under the operator's ttl s-maxage forbids the app's stale windows and not
//     the operator's (§5.2.2.10).
//   - A request's own directives are honoured only from those who are
//     trusted, only-if-cached aside (§5.2.1 leaves it to the cache).
//   - Vary: Accept-Encoding makes no variants, unless no-transform: the edge
//     asks with [UpstreamAcceptEncoding], and encodes for each visitor.
//   - Groups are tags, and not parted by origin as RFC 9875 §2 has it: what
//     stands behind one edge is one operator's, and to purge more is safe.
//   - Nothing is fresh for longer than [MaxLife].
package cachepolicy
