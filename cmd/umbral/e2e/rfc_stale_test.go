package e2e

// RFC 9111 §4.2.4, RFC 5861. Only what declares an age can be stale at once.
const (
	badGateway     = `"502 Bad Gateway\nThe site is not available right now. Please try again in a moment.\n"`
	gatewayTimeout = `"504 Gateway Timeout\nThe site is not available right now. Please try again in a moment.\n"`
)

var staleCases = []play1{
	c("9111 4.2.4 no answer", "GET <- 200 | Cache-Control: max-age=60 | Age: 100\nGET <- hang up => 200 | body=1 | age=100 | Cache-Status~ fwd=stale"),
	c("9111 4.2.4 no answer, with a validator", "GET <- 200 | Cache-Control: max-age=60 | Age: 100 | ETag: \"a\"\nGET <- hang up => valid | 200 | body=1"),
	c("9111 4.2.4 no answer, Expires", "GET <- 200 | Expires: {-10}\nGET <- hang up => 200 | body=1"),
	c("9111 4.2.4 no answer, and then one", "GET <- 200 | Cache-Control: max-age=60 | Age: 100\nGET <- hang up => 200 | body=1\nGET <- 200 | Cache-Control: max-age=60\nGET => body=3"),
	c("9111 4.2.4 half an answer", "GET <- 200 | Cache-Control: max-age=60 | Age: 100\nGET <- 200 | Content-Length: 100 | Cache-Control: max-age=60 | Connection: close => 200 | body=1"),
	c("9111 4.2.4 HEAD, no answer", "GET <- 200 | Cache-Control: max-age=60 | Age: 100 | X-A: 1\nHEAD <- hang up => 200 | X-A: 1"),
	c("9111 4.2.4 nothing stored", "GET <- hang up => 502 | "+badGateway),
	c("9111 4.2.4 a 5xx is an answer", "GET <- 200 | Cache-Control: max-age=60 | Age: 100\nGET <- 503 => 503"),
	c("9111 4.2.4 a 404 is an answer", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70\nGET <- 404 => 404"),
	c("9111 5.2.2.2 must-revalidate", "GET <- 200 | Cache-Control: max-age=60, must-revalidate | Age: 100 | ETag: \"a\"\nGET <- hang up => 504 | "+gatewayTimeout),
	c("9111 5.2.2.8 proxy-revalidate", "GET <- 200 | Cache-Control: max-age=60, proxy-revalidate | Age: 100 | ETag: \"a\"\nGET <- hang up => 504 | "+gatewayTimeout),
	c("9111 5.2.2.10 s-maxage", "GET <- 200 | Cache-Control: s-maxage=60 | Age: 100 | ETag: \"a\"\nGET <- hang up => 504 | "+gatewayTimeout),
	c("9111 5.2.2.4 no-cache", "GET <- 200 | Cache-Control: max-age=60, no-cache | ETag: \"a\"\nGET <- hang up => 504 | "+gatewayTimeout),
	c("9111 5.2.2.2 must-revalidate, HEAD", "GET <- 200 | Cache-Control: max-age=60, must-revalidate | Age: 100 | ETag: \"a\"\nHEAD <- hang up => 504"),
	c("9111 5.2.2.2 must-revalidate is validated", "GET <- 200 | Cache-Control: max-age=60, must-revalidate | Age: 100 | ETag: \"a\"\nGET <- 304 | ETag: \"a\" | Cache-Control: max-age=60 => valid\nGET"),
	c("9111 5.2.2.2 must-revalidate, a 5xx goes on", "GET <- 200 | Cache-Control: max-age=60, must-revalidate, stale-if-error=60 | Age: 70 | ETag: \"a\"\nGET <- 503 => 503"),

	c("5861 4 stale-if-error, 500", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70\nGET <- 500 => 200 | body=1 | age=70"),
	c("5861 4 stale-if-error, 502", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70\nGET <- 502 => 200 | body=1"),
	c("5861 4 stale-if-error, 503", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70\nGET <- 503 => 200 | body=1"),
	c("5861 4 stale-if-error, 504", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70\nGET <- 504 => 200 | body=1"),
	c("5861 4 stale-if-error, 501 is none of these", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70\nGET <- 501 => 501"),
	c("5861 4 stale-if-error, 404", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70\nGET <- 404 => 404"),
	c("5861 4 stale-if-error is over", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 130\nGET <- 503 => 503"),
	c("5861 4 stale-if-error of the answer that fails counts for nothing", "GET <- 200 | Cache-Control: max-age=60 | Age: 70\nGET <- 503 | Cache-Control: stale-if-error=60 => 503"),
	c("5861 4 stale-if-error and HEAD", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70 | X-A: 1\nHEAD <- 503 => 200 | X-A: 1"),
	c("5861 4 stale-if-error and a range", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70 | * 0123456789\nGET | Range: bytes=0-1 <- 503 => 206 | \"01\""),
	c("9111 3.3 a part is not the whole, stale or not", "GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70 | Content-Range: bytes 0-4/10 | * 01234\nGET <- 503 => 503\nHEAD <- hang up => 502\nGET | Range: bytes=0-5 <- 503 => 503\nGET | Range: bytes=0-1 <- 503 => 206 | \"01\""),
	c("5861 4 stale-if-error and a condition", "GET <- 200 | Cache-Control: max-age=60, stale-if-error=60 | Age: 70 | ETag: \"a\"\nGET | If-None-Match: \"a\" <- 503 => 304 | \"\""),
	c("5861 4 stale-if-error and no-cache", "GET <- 200 | Cache-Control: max-age=60, no-cache, stale-if-error=60 | ETag: \"a\"\nGET <- 503 => 503"),
	c("5861 4 stale-if-error and s-maxage", "GET <- 200 | Cache-Control: s-maxage=60, stale-if-error=60 | Age: 70 | ETag: \"a\"\nGET <- 503 => 503"),
	c("5861 4 an error with a lifetime is stored", "GET <- 503 | Cache-Control: max-age=60\nGET => 503 | body=1"),

	c("5861 3 stale-while-revalidate", `GET <- 200 | Cache-Control: max-age=60, stale-while-revalidate=60 | Age: 70
		GET <- 200 | Cache-Control: max-age=60 => soon | 200 | body=1 | age=70 | Cache-Status~ umbral; hit; ttl=-1
		GET => body=2`),
	c("5861 3 it validates", `GET | Foo: 7 <- 200 | Cache-Control: max-age=60, stale-while-revalidate=60 | Age: 70 | ETag: "a"
		GET | Foo: 8 | Accept-Language: de <- 304 | Cache-Control: max-age=60 | ETag: "a" | X-A: 2 => soon | 200 | body=1 | valid | up Foo: 8 | up Accept-Language: de
		GET => body=1 | X-A: 2 | age=0`),
	c("5861 3 each variant for itself", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60, stale-while-revalidate=60 | Age: 70 | Vary: Foo
		GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo => soon | 200 | body=1 | up Foo: 1
		GET | Foo: 1 => body=2
		GET | Foo: 2 <- 200`),
	c("5861 3 it is over", "GET <- 200 | Cache-Control: max-age=60, stale-while-revalidate=60 | Age: 130\nGET <- 200"),
	c("5861 3 not with must-revalidate", "GET <- 200 | Cache-Control: max-age=60, must-revalidate, stale-while-revalidate=60 | Age: 70\nGET <- 200"),
	c("5861 3 not with s-maxage", "GET <- 200 | Cache-Control: s-maxage=60, stale-while-revalidate=60 | Age: 70\nGET <- 200"),
	c("5861 3 not with no-cache", "GET <- 200 | Cache-Control: max-age=60, no-cache, stale-while-revalidate=60 | ETag: \"a\"\nGET <- 304 => valid"),
	c("5861 3 a value that is none", "GET <- 200 | Cache-Control: max-age=60, stale-while-revalidate=x | Age: 70\nGET <- 200"),
	c("5861 3 behind one's back the app fails", `GET <- 200 | Cache-Control: max-age=60, stale-while-revalidate=600 | Age: 70
		GET <- 500 => soon | 200 | body=1
		GET <- 200 | Cache-Control: max-age=60 => soon | 200 | body=1
		GET => body=3`),
	c("5861 3 behind one's back the app forbids storing", `GET <- 200 | Cache-Control: max-age=60, stale-while-revalidate=600 | Age: 70
		GET <- 200 | Cache-Control: no-store => soon | 200 | body=1
		GET <- 200 | Cache-Control: no-store`),
	c("5861 3 behind one's back the app sets a cookie", `GET <- 200 | Cache-Control: max-age=60, stale-while-revalidate=600 | Age: 70
		GET <- 200 | Cache-Control: max-age=60 | Set-Cookie: a=1 => soon | 200 | body=1 | Set-Cookie: -
		GET <- 200 | Cache-Control: max-age=60`),
	c("5861 3 a condition is answered meanwhile", `GET <- 200 | Cache-Control: max-age=60, stale-while-revalidate=60 | Age: 70 | ETag: "a"
		GET | If-None-Match: "a" <- 304 | Cache-Control: max-age=60 | ETag: "a" => soon | 304 | ""`),
	c("5861 3 HEAD too, and the fetch is a GET", `GET <- 200 | Cache-Control: max-age=60, stale-while-revalidate=60 | Age: 70
		HEAD <- 200 | Cache-Control: max-age=60 => soon | 200
		GET => "body of 2.1"`),
	c("9111 4.2.4 stale with a 304 that keeps it stale", `GET <- 200 | Cache-Control: max-age=60 | Age: 100 | ETag: "a"
		GET <- 304 | Age: 100 | ETag: "a" => valid | age=100
		GET <- 304 | ETag: "a" => valid
		GET => body=1`),
}
