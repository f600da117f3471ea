package e2e

// RFC 9213: targeted fields are Structured Fields, and the first valid one
// that is not empty stands in Cache-Control's and Expires' place.
var targetedCases = []play1{
	kept("9213 3.1 CDN-Cache-Control", "CDN-Cache-Control: max-age=60"),
	kept("9213 2.2 it beats Cache-Control: max-age", "CDN-Cache-Control: max-age=60 | Cache-Control: max-age=0"),
	unkept("9213 2.2 it beats a longer max-age", "CDN-Cache-Control: max-age=0 | Cache-Control: max-age=60"),
	kept("9213 2.2 it beats no-store", "CDN-Cache-Control: max-age=60 | Cache-Control: no-store"),
	kept("9213 2.2 it beats private", "CDN-Cache-Control: max-age=60 | Cache-Control: private"),
	kept("9213 2.2 it beats no-cache", "CDN-Cache-Control: max-age=60 | Cache-Control: no-cache"),
	kept("9213 2.2 it beats Expires", "CDN-Cache-Control: max-age=60 | Expires: {-60}"),
	unkept("9213 2.2 Expires gives nothing where it holds", "CDN-Cache-Control: public=1 | Expires: {+60}"),
	unkept("9213 2.2 its no-store", "CDN-Cache-Control: no-store | Cache-Control: max-age=60"),
	unkept("9213 2.2 its private", "CDN-Cache-Control: private, max-age=60 | Cache-Control: max-age=60"),
	unkept("9213 2.2 its no-cache", "CDN-Cache-Control: no-cache, max-age=60 | Cache-Control: max-age=60"),
	unkept("9213 2.2 a lifetime in Cache-Control does not fill it up", "CDN-Cache-Control: must-revalidate | Cache-Control: max-age=60"),
	kept("9213 2.2 s-maxage", "CDN-Cache-Control: s-maxage=60, max-age=0"),
	kept("9213 2.2 an empty one is none", "CDN-Cache-Control: | Cache-Control: max-age=60"),
	unkept("9213 2.2 an empty one is none, no-store", "CDN-Cache-Control: | Cache-Control: no-store"),
	kept("9213 2.1 capitals are no Structured Field", "CDN-Cache-Control: Max-Age=0 | Cache-Control: max-age=60"),
	unkept("9213 2.1 a string without end", `CDN-Cache-Control: max-age=60, foo="bar | Cache-Control: max-age=0`),
	kept("9213 2.1 an invalid one is ignored, whatever it says", "CDN-Cache-Control: no-store; ;; | Cache-Control: max-age=60"),
	unkept("9213 2.1 a string is no Integer", `CDN-Cache-Control: max-age="60"`),
	unkept("9213 2.1 a Decimal is no Integer", "CDN-Cache-Control: max-age=60.0"),
	unkept("9213 2.1 a negative Integer", "CDN-Cache-Control: max-age=-60"),
	unkept("9213 2.1 a Token", "CDN-Cache-Control: max-age=a60"),
	kept("9213 2.1 an Integer too large for Structured Fields makes it invalid", "CDN-Cache-Control: max-age=9999999999999999 | Cache-Control: max-age=60"),
	kept("9213 2.1 a large Integer", "CDN-Cache-Control: max-age=999999999999999"),
	kept("9213 2.1 parameters are ignored", "CDN-Cache-Control: max-age=60;foo=0;bar"),
	kept("8941 3.2 of duplicates the last", "CDN-Cache-Control: max-age=0, max-age=60"),
	kept("8941 3.2 several lines", "CDN-Cache-Control: foo | CDN-Cache-Control: max-age=60"),
	unkept("8941 3.2 two commas", "CDN-Cache-Control: max-age=60,, foo"),
	kept("9213 2.1 unknown members", "CDN-Cache-Control: foo=(1 2), max-age=60, bar=?0"),
	c("9213 2.1 no-cache with a list of fields", `GET <- 200 | CDN-Cache-Control: max-age=60, no-cache=("X-A" "x-b") | X-A: 1 | X-B: 2 | X-C: 3
		GET => X-A: - | X-B: - | X-C: 3`),
	c("9213 2.1 private with a string", `GET <- 200 | CDN-Cache-Control: max-age=60, private="X-A" | X-A: 1 | X-C: 3
		GET => X-A: - | X-C: 3`),
	c("9213 2.1 must-revalidate in it", `GET <- 200 | CDN-Cache-Control: max-age=60, must-revalidate | Age: 100 | ETag: "a"
		GET <- hang up => 504 | `+gatewayTimeout),
	c("9213 2.1 stale-while-revalidate in it", `GET <- 200 | CDN-Cache-Control: max-age=60, stale-while-revalidate=60 | Age: 70
		GET <- 200 | CDN-Cache-Control: max-age=60 => soon | 200 | body=1`),
	c("9213 2.2 Authorization and its public", `GET | Authorization: Basic YTpi <- 200 | CDN-Cache-Control: max-age=60, public
		GET`),
	c("9213 2.2 Authorization, and public elsewhere", `GET | Authorization: Basic YTpi <- 200 | CDN-Cache-Control: max-age=60 | Cache-Control: public
		GET <- 200`),
	c("9213 3.1 it goes on, Umbral's own does not", `GET <- 200 | CDN-Cache-Control: max-age=60 | Umbral-Cache-Control: max-age=60 => CDN-Cache-Control: max-age=60 | Umbral-Cache-Control: -
		GET => CDN-Cache-Control: max-age=60 | Umbral-Cache-Control: - | age=0`),
	kept("9213 2.2 Umbral's own comes first", "Umbral-Cache-Control: max-age=60 | CDN-Cache-Control: max-age=0 | Cache-Control: no-store"),
	unkept("9213 2.2 Umbral's own comes first, no-store", "Umbral-Cache-Control: no-store | CDN-Cache-Control: max-age=60"),
	kept("9213 2.2 Umbral's own is invalid", "Umbral-Cache-Control: no-store, ?? | CDN-Cache-Control: max-age=60"),
	c("9213 2.2 a 304 updates it", `GET <- 200 | CDN-Cache-Control: max-age=60 | Age: 100 | ETag: "a"
		GET <- 304 | CDN-Cache-Control: max-age=600 | Age: 100 | ETag: "a"
		GET => body=1`),
}

// RFC 9211.
var cacheStatusCases = []play1{
	c("9211 2.1 hit", "GET <- 200 | Cache-Control: max-age=60\nGET => Cache-Status~ umbral; hit; ttl=5"),
	c("9211 2.2 uri-miss, stored", "GET <- 200 | Cache-Control: max-age=60 => Cache-Status~ umbral; fwd=uri-miss; stored; ttl="),
	c("9211 2.2 uri-miss, not stored", "GET <- 200 | Cache-Control: no-store => Cache-Status: umbral; fwd=uri-miss; detail=response-no-store"),
	c("9211 2.2 vary-miss", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: 2 <- 200 | Cache-Control: max-age=60 | Vary: Foo => Cache-Status~ umbral; fwd=vary-miss; stored"),
	c("9211 2.2 stale and 304", "GET <- 200 | Cache-Control: max-age=0 | ETag: \"a\"\nGET <- 304 | Cache-Control: max-age=60 | ETag: \"a\" => Cache-Status~ umbral; fwd=stale; fwd-status=304; stored"),
	c("9211 2.2 stale and 200", "GET <- 200 | Cache-Control: max-age=0 | ETag: \"a\"\nGET <- 200 | Cache-Control: max-age=60 => Cache-Status~ umbral; fwd=stale; stored"),
	c("9211 2.2 method", "POST | * a <- 200 => Cache-Status~ umbral; fwd=method"),
	c("9211 2.2 partial", "GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | * 01234\nGET | Range: bytes=5-9 <- 206 | Content-Range: bytes 5-9/10 | * 56789 => Cache-Status~ umbral; fwd=partial"),
	c("9211 2.2 stale and 503, served stale", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70\nGET <- 503 => 200 | body=1 | Cache-Status~ umbral; fwd=stale; fwd-status=503"),
	c("9211 2 the members before ours stay, in order", `GET <- 200 | Cache-Control: max-age=60 | Cache-Status: origin; hit, "b c"; fwd=miss => Cache-Status~ origin; hit, "b c"; fwd=miss & umbral; fwd=uri-miss
		GET => Cache-Status~ origin; hit, "b c"; fwd=miss & umbral; hit`),
	c("9211 2 two lines before ours", "GET <- 200 | Cache-Control: no-store | Cache-Status: a; hit | Cache-Status: b; hit => Cache-Status~ a; hit & b; hit & umbral; fwd=uri-miss"),
	c("9211 2 on a 304", "GET <- 200 | Cache-Control: max-age=60 | ETag: \"a\"\nGET | If-None-Match: \"a\" => 304 | \"\" | Cache-Status~ umbral; hit"),
	c("9211 2 on a 504", "GET | Cache-Control: only-if-cached => 504 | "+gatewayTimeout+" | Cache-Status~ detail=request-only-if-cached"),
}

// No-Vary-Search.
var noVarySearchCases = []play1{
	c("No-Vary-Search params", `GET ?a=1&b=2 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params
		GET ?c=3 => body=1
		GET => body=1`),
	c("No-Vary-Search params with names", `GET ?a=1&b=2 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params=("b")
		GET ?a=1&b=3 => body=1
		GET ?a=1 => body=1
		GET ?a=2&b=2 <- 200`),
	c("No-Vary-Search except", `GET ?a=1&b=2 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params, except=("a")
		GET ?a=1&c=3 => body=1
		GET ?a=2&b=2 <- 200`),
	c("No-Vary-Search key-order", `GET ?a=1&b=2 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: key-order
		GET ?b=2&a=1 => body=1
		GET ?b=1&a=2 <- 200`),
	c("No-Vary-Search: the same characters, escaped or not", `GET ?a=%61&b=1 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params=("b")
		GET ?%61=a => body=1`),
	c("No-Vary-Search that is none", `GET ?a=1 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params=b
		GET ?a=2 <- 200`),
	c("No-Vary-Search except without params", `GET ?a=1 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: except=("a")
		GET ?a=1&b=1 <- 200`),
	c("No-Vary-Search and Vary", `GET ?a=1 | Foo: 1 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params | Vary: Foo
		GET ?a=2 | Foo: 1 => body=1
		GET ?a=2 | Foo: 2 <- 200`),
	c("No-Vary-Search and invalidation", `GET ?a=1 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params
		POST ?a=1 | * a <- 200
		GET ?a=2 <- 200`),
	c("No-Vary-Search and invalidation of another that it answers", `GET ?a=1 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params
		GET ?a=2 => body=1
		POST ?a=2 | * a <- 200
		GET ?a=2 <- 200`),
	c("No-Vary-Search and validation", `GET ?a=1 <- 200 | Cache-Control: max-age=0 | No-Vary-Search: params | ETag: "a"
		GET ?a=2 <- 304 | Cache-Control: max-age=60 | ETag: "a" => valid | body=1
		GET ?a=3 => body=1`),
	c("No-Vary-Search after an answer without it, which is stale", `GET ?a=1 <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET ?a=1 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params=("a")
		GET ?a=1 => body=2
		GET ?a=2 => body=2
		GET ?a=1 => body=2`),
	c("No-Vary-Search after an answer without it, served while it is revalidated", `GET ?a=1 <- 200 | Cache-Control: max-age=60, stale-while-revalidate=60 | Age: 70
		GET ?a=1 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params=("a") => soon | body=1
		GET ?a=1 => body=2
		GET ?a=2 => body=2`),
	c("No-Vary-Search: 9111 4 the newest of two that are fresh", `GET ?a=1 <- 200 | Cache-Control: max-age=60
		GET ?a=2 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params
		GET ?a=1 => body=2
		GET ?a=3 => body=2`),
	c("No-Vary-Search: 9111 4 the newest of two is the one without it", `GET ?a=1 <- 200 | Cache-Control: max-age=0 | No-Vary-Search: params | ETag: "a"
		GET ?a=2 <- 200 | Cache-Control: max-age=60
		GET ?a=2 => body=2
		GET ?a=3 <- 304 | Cache-Control: max-age=60 | ETag: "a" => valid | body=1
		GET ?a=4 => body=1`),
	c("No-Vary-Search: 9111 4.3.3 an answer that is not stored ends both", `GET ?a=1 <- 200 | Cache-Control: max-age=60
		GET ?a=2 <- 200 | Cache-Control: no-cache, max-age=60 | ETag: "b" | No-Vary-Search: params
		GET ?a=1 <- 200 | Cache-Control: no-store => valid
		GET ?a=1 <- 200`),
	c("No-Vary-Search from a 304", `GET ?a=1 <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET ?a=1 <- 304 | Cache-Control: max-age=60 | ETag: "a" | No-Vary-Search: params=("a") => valid | body=1
		GET ?a=2 => body=1
		GET ?a=1 => body=1`),
	c("No-Vary-Search that a 304 changes", `GET ?a=1&b=1 <- 200 | Cache-Control: max-age=0 | ETag: "a" | No-Vary-Search: params
		GET ?a=1&b=2 <- 304 | Cache-Control: max-age=60 | ETag: "a" | No-Vary-Search: params=("b") => valid | body=1
		GET ?a=1&b=3 => body=1
		GET ?a=2 <- 200`),
	c("No-Vary-Search: 9111 4.1 with Vary and without", `GET ?a=1 | Foo: 1 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params | Vary: Foo
		GET ?a=2 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params
		GET ?a=3 | Foo: 1 => body=1
		GET ?a=4 => body=2
		GET ?a=5 | Foo: 2 <- 200 | Cache-Control: max-age=60 | No-Vary-Search: params | Vary: Foo
		GET ?a=6 | Foo: 1 => body=1
		GET ?a=7 | Foo: 2 => body=5`),
	c("No-Vary-Search: 9111 4.1 after variants without it", `GET ?a=1 | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET ?a=1 | Foo: 2 <- 200 | Cache-Control: max-age=60 | Vary: Foo | No-Vary-Search: params
		GET ?a=1 | Foo: 1 => body=1
		GET ?a=2 | Foo: 2 => body=2
		GET ?a=2 | Foo: 1 <- 200`),
}

// RFC 9111 §5.2.1: a stranger's directives are not obeyed, a trusted proxy's
// are (CACHING.md §1); only-if-cached is everybody's.
var strangerCases = []play1{
	c("9111 5.2.1.7 only-if-cached, nothing stored", "GET | Cache-Control: only-if-cached => 504 | "+gatewayTimeout),
	c("9111 5.2.1.7 only-if-cached, fresh", "GET <- 200 | Cache-Control: max-age=60\nGET | Cache-Control: only-if-cached"),
	c("9111 5.2.1.7 only-if-cached, stale", "GET <- 200 | Cache-Control: max-age=0 | ETag: \"a\"\nGET | Cache-Control: only-if-cached => 504 | "+gatewayTimeout),
	c("9111 5.2.1.7 only-if-cached, and a path that is not looked up", "GET a//b | Cache-Control: only-if-cached => 504 | "+gatewayTimeout+" | Cache-Status~ detail=request-only-if-cached"),
	c("9111 4 only-if-cached, and what is unsafe is written through", "POST | Cache-Control: only-if-cached | * a <- 200"),
	c("5.2.1 no-cache", "GET <- 200 | Cache-Control: max-age=60\nGET | Cache-Control: no-cache"),
	c("5.2.1 max-age=0", "GET <- 200 | Cache-Control: max-age=60\nGET | Cache-Control: max-age=0"),
	c("5.2.1 no-store", "GET | Cache-Control: no-store <- 200 | Cache-Control: max-age=60\nGET"),
	c("5.4 Pragma", "GET <- 200 | Cache-Control: max-age=60\nGET | Pragma: no-cache"),
}

var trustedCases = []play1{
	c("9111 5.2.1.1 max-age=0", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		GET | Cache-Control: max-age=0 | X-A: 1 <- 304 | ETag: "a" => valid`),
	c("9111 5.2.1.1 max-age below the age", `GET <- 200 | Cache-Control: max-age=600 | Age: 100 | ETag: "a"
		GET | Cache-Control: max-age=60 <- 304 | ETag: "a" => valid`),
	c("9111 5.2.1.1 max-age above the age", "GET <- 200 | Cache-Control: max-age=600 | Age: 100\nGET | Cache-Control: max-age=300"),
	c("9111 5.2.1.2 max-stale takes what is stale", "GET <- 200 | Cache-Control: max-age=60 | Age: 100\nGET | Cache-Control: max-stale=100 => age=100"),
	c("9111 5.2.1.2 max-stale of any age", "GET <- 200 | Cache-Control: max-age=60 | Age: 100\nGET | Cache-Control: max-stale"),
	c("9111 5.2.1.2 max-stale is not enough", "GET <- 200 | Cache-Control: max-age=60 | Age: 100\nGET | Cache-Control: max-stale=10 <- 200"),
	c("9111 5.2.1.2 max-stale and must-revalidate", "GET <- 200 | Cache-Control: max-age=60, must-revalidate | Age: 100 | ETag: \"a\"\nGET | Cache-Control: max-stale=100 <- 304 | ETag: \"a\" => valid"),
	c("9111 5.2.1.3 min-fresh", "GET <- 200 | Cache-Control: max-age=60\nGET | Cache-Control: min-fresh=30\nGET | Cache-Control: min-fresh=90 <- 200"),
	c("9111 5.2.1.3 min-fresh and Age", "GET <- 200 | Cache-Control: max-age=600 | Age: 550\nGET | Cache-Control: min-fresh=100 <- 200"),
	c("9111 5.2.1.4 no-cache", "GET <- 200 | Cache-Control: max-age=60 | ETag: \"a\"\nGET | Cache-Control: no-cache <- 304 | ETag: \"a\" => valid"),
	c("9111 5.2.1.4 no-cache, Last-Modified", "GET <- 200 | Cache-Control: max-age=60 | Last-Modified: {-1000}\nGET | Cache-Control: no-cache <- 304 => valid"),
	c("9111 5.2.1.4 no-cache without a validator", "GET <- 200 | Cache-Control: max-age=60\nGET | Cache-Control: no-cache <- 200 | Cache-Control: max-age=60\nGET => body=2"),
	c("9111 5.2.1.5 no-store", "GET | Cache-Control: no-store <- 200 | Cache-Control: max-age=60\nGET <- 200"),
	c("9111 5.2.1.5 no-store, and what is stored stays", "GET <- 200 | Cache-Control: max-age=60\nGET | Cache-Control: no-store <- 200 | Cache-Control: max-age=60\nGET => body=1"),
	c("9111 5.2.1.7 only-if-cached", "GET | Cache-Control: only-if-cached => 504 | "+gatewayTimeout),
	c("9111 5.2.1.7 only-if-cached, stale, max-stale", "GET <- 200 | Cache-Control: max-age=60 | Age: 100\nGET | Cache-Control: only-if-cached, max-stale"),
	c("9111 5.4 Pragma is no Cache-Control", "GET <- 200 | Cache-Control: max-age=60\nGET | Pragma: foo"),
	c("9111 5.2.3 an unknown directive", "GET <- 200 | Cache-Control: max-age=60\nGET | Cache-Control: foo, bar=0"),
	c("8246 2 immutable outlasts a reload", "GET <- 200 | Cache-Control: max-age=60, immutable | ETag: \"a\"\nGET | Cache-Control: max-age=0"),
	c("8246 2 but not a forced one", "GET <- 200 | Cache-Control: max-age=60, immutable | ETag: \"a\"\nGET | Cache-Control: no-cache <- 304 | ETag: \"a\" => valid"),
	c("8246 2 nor when it is stale", "GET <- 200 | Cache-Control: max-age=60, immutable | Age: 100 | ETag: \"a\"\nGET | Cache-Control: max-age=0 <- 304 | ETag: \"a\" => valid"),
	c("9111 4.3.5 HEAD with no-cache freshens what is fresh", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a" | X-A: 1
		HEAD | Cache-Control: no-cache <- 200 | Cache-Control: max-age=60 | ETag: "a" | X-A: 2 | Content-Length: 11
		GET => X-A: 2 | body=1`),
	c("9111 4.3.5 HEAD with no-cache ends what has changed", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		HEAD | Cache-Control: no-cache <- 200 | Cache-Control: max-age=60 | ETag: "b" | Content-Length: 11
		GET <- 200`),
	c("9111 5.2.1.4 no-cache and the visitor's own condition", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		GET | Cache-Control: no-cache | If-None-Match: "a" <- 304 | ETag: "a" | Cache-Control: max-age=60 => valid | 304 | ""`),
	c("9111 5.2.1.1 max-age and max-stale", `GET <- 200 | Cache-Control: max-age=60 | Age: 100
		GET | Cache-Control: max-age=30, max-stale=100 => age=100`),
	c("9111 5.2.1 what is malformed asks for more", `GET <- 200 | Cache-Control: max-age=600 | Age: 100 | ETag: "a"
		GET | Cache-Control: max-age=x <- 304 | ETag: "a" => valid`),
	c("9111 5.2.1 several lines", `GET <- 200 | Cache-Control: max-age=600 | Age: 100 | ETag: "a"
		GET | Cache-Control: foo | Cache-Control: max-age=60 <- 304 | ETag: "a" => valid`),
	c("9111 5.2.1 a trusted proxy's directives go up", "GET | Cache-Control: no-cache <- 200 => up Cache-Control: no-cache"),
	c("9110 7.6.3 a trusted proxy's Via stays", "GET | Via: 1.0 a, 1.1 b <- 200 => up Via~ 1.0 a, 1.1 b, 1.1 umbral-"),
}
