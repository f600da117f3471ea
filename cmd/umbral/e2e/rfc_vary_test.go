package e2e

// RFC 9111 §4.1, RFC 9110 §12.5.5.
var varyCases = []play1{
	c("9111 4.1 the same", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: 1"),
	c("9111 4.1 another", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: 2 <- 200"),
	c("9111 4.1 absent the second time", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET <- 200"),
	c("9111 4.1 absent the first time", "GET <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: 1 <- 200"),
	c("9111 4.1 absent both times", "GET <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET"),
	c("9111 4.1 absent is not empty", "GET <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: <- 200"),
	c("9111 4.1 empty both times", "GET | Foo: <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo:"),
	c("9111 4.1 the name has no case", "GET | fOO: 1 <- 200 | Cache-Control: max-age=60 | Vary: FoO\nGET | FOO: 1"),
	c("9111 4.1 the value has", "GET | Foo: a <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: A <- 200"),
	c("9111 4.1 fields that Vary does not name", "GET | Foo: 1 | Bar: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: 1 | Bar: 2"),
	c("9111 4.1 two names, both the same", "GET | Foo: 1 | Bar: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo, Bar\nGET | Foo: 1 | Bar: 1"),
	c("9111 4.1 two names, the second differs", "GET | Foo: 1 | Bar: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo, Bar\nGET | Foo: 1 | Bar: 2 <- 200"),
	c("9111 4.1 two names, the first differs", "GET | Foo: 1 | Bar: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo, Bar\nGET | Foo: 2 | Bar: 1 <- 200"),
	c("9111 4.1 two names, the second absent", "GET | Foo: 1 | Bar: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo, Bar\nGET | Foo: 1 <- 200"),
	c("9111 4.1 three names", "GET | Foo: 1 | Bar: a | Baz: 7 <- 200 | Cache-Control: max-age=60 | Vary: Foo, Bar, Baz\nGET | Baz: 7 | Bar: a | Foo: 1\nGET | Foo: 1 | Bar: a | Baz: 8 <- 200"),
	c("9111 4.1 two lines of Vary", "GET | Foo: 1 | Bar: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo | Vary: Bar\nGET | Foo: 1 | Bar: 1\nGET | Foo: 1 | Bar: 2 <- 200"),
	c("9111 4.1 empty members in Vary", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: , ,Foo,,\nGET | Foo: 1\nGET | Foo: 2 <- 200"),
	c("9111 4.1 an empty Vary", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary:\nGET | Foo: 2"),
	c("9111 4.1 the same name twice", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo, foo\nGET | Foo: 1\nGET | Foo: 2 <- 200"),

	c("9111 4.1 *", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: *\nGET | Foo: 1 <- 200"),
	c("9111 4.1 * with spaces", "GET <- 200 | Cache-Control: max-age=60 | Vary:  * \nGET <- 200"),
	c("9111 4.1 * behind a name", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo, *\nGET | Foo: 1 <- 200"),
	c("9111 4.1 * before a name", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: *, Foo\nGET | Foo: 1 <- 200"),
	c("9111 4.1 * among empty members", "GET <- 200 | Cache-Control: max-age=60 | Vary: ,*,\nGET <- 200"),
	c("9111 4.1 * on another line", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo | Vary: *\nGET | Foo: 1 <- 200"),
	c("9111 4.1 * on the first line", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: * | Vary: Foo\nGET | Foo: 1 <- 200"),
	c("9111 4.1 no name at all", "GET <- 200 | Cache-Control: max-age=60 | Vary: a b\nGET <- 200"),

	// Several at once.
	c("9111 4.1 two variants side by side", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 2 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 1 => body=1
		GET | Foo: 2 => body=2`),
	c("9111 4.1 three variants and the absent one", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 2 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 3 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET => body=3
		GET | Foo: 1 => body=1
		GET | Foo: 3 => body=4
		GET | Foo: 2 => body=2`),
	c("9111 4.1 other names from one answer to the next", `GET | Foo: 1 | Bar: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 2 | Bar: 2 <- 200 | Cache-Control: max-age=60 | Vary: Bar
		GET | Foo: 2 | Bar: 2 => body=2
		GET | Foo: 1 | Bar: 1 => body=1
		GET | Foo: 3 | Bar: 3 <- 200`),
	c("9111 4.1 of several that match the newest", `GET | Foo: 1 | Bar: 1 <- 200 | Cache-Control: max-age=600 | Vary: Foo | Date: {-10}
		GET | Foo: 2 | Bar: 1 <- 200 | Cache-Control: max-age=600 | Vary: Bar | Date: {-100}
		GET | Foo: 1 | Bar: 1 => body=1`),
	c("9111 4.1 one answer without Vary", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET <- 200 | Cache-Control: max-age=60
		GET | Foo: 1 => body=1
		GET => body=2`),
	c("9111 4.1 an answer without Vary first", `GET <- 200 | Cache-Control: max-age=60
		GET | Foo: 1 => body=1`),
	c("9111 4.1 one variant that is not stored leaves the others", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 2 <- 200 | Cache-Control: no-store | Vary: Foo
		GET | Foo: 1 => body=1`),
	c("9111 4.1 an error for one variant leaves the others", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 2 <- 500
		GET | Foo: 1 => body=1`),
	c("9111 4.1 HEAD looks at Vary too", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		HEAD | Foo: 1
		HEAD | Foo: 2 <- 200`),
	c("9111 4.1 a lifetime of its own for each", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 2 <- 200 | Cache-Control: max-age=0 | Vary: Foo
		GET | Foo: 2 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 1 => body=1
		GET | Foo: 2 => body=3`),

	// What means the same (9111 4.1: white space, lines, known syntax).
	c("9111 4.1 white space around a value", "GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: \t 1 \t"),
	c("9111 4.1 white space around commas", "GET | Foo: a, b <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: a ,b\nGET | Foo: a,b"),
	c("9111 4.1 two lines or one", "GET | Foo: a | Foo: b <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: a, b"),
	c("9111 4.1 one line or two", "GET | Foo: a, b <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: a | Foo: b"),
	c("9111 4.1 the order of a list that is not known", "GET | Foo: a, b <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: b, a <- 200"),
	c("9111 4.1 white space within a value", "GET | Foo: a b <- 200 | Cache-Control: max-age=60 | Vary: Foo\nGET | Foo: a  b <- 200"),
	c("9110 12.5.4 languages have no case", "GET | Accept-Language: en, de <- 200 | Cache-Control: max-age=60 | Vary: Accept-Language\nGET | Accept-Language: EN, De"),
	c("9110 12.5.4 white space among languages", "GET | Accept-Language: en, de;q=0.5 <- 200 | Cache-Control: max-age=60 | Vary: Accept-Language\nGET | Accept-Language: en,de ; q=0.5"),
	c("9110 12.4.2 a weight of 1", "GET | Accept-Language: en, de;q=0.5 <- 200 | Cache-Control: max-age=60 | Vary: Accept-Language\nGET | Accept-Language: en;q=1.0, de;q=0.500"),
	c("9110 12.5.4 other languages", "GET | Accept-Language: en <- 200 | Cache-Control: max-age=60 | Vary: Accept-Language\nGET | Accept-Language: de <- 200"),
	c("9110 12.5.4 other weights", "GET | Accept-Language: en, de;q=0.5 <- 200 | Cache-Control: max-age=60 | Vary: Accept-Language\nGET | Accept-Language: en;q=0.5, de <- 200"),
	c("9110 12.5.4 the answer is in the language that both prefer", `GET | Accept-Language: de, en;q=0.5 <- 200 | Cache-Control: max-age=60 | Vary: Accept-Language | Content-Language: de
		GET | Accept-Language: de, fr;q=0.3
		GET | Accept-Language: fr, de;q=0.3 <- 200`),
	c("9110 12.5.4 the answer is in another language", `GET | Accept-Language: de, en;q=0.5 <- 200 | Cache-Control: max-age=60 | Vary: Accept-Language | Content-Language: en
		GET | Accept-Language: de, fr;q=0.3 <- 200`),
	c("9110 12.5.3 Accept-Encoding is the edge's own", `GET | Accept-Encoding: gzip, br <- 200 | Cache-Control: max-age=60 | Vary: Accept-Encoding
		GET | Accept-Encoding: br;q=1.0, gzip`),
	c("9110 12.5.3 what the app has encoded is for those who ask alike", `GET | Accept-Encoding: gzip, br <- 200 | Cache-Control: max-age=60 | Vary: Accept-Encoding | Content-Encoding: gzip
		GET | Accept-Encoding: br, gzip;q=1
		GET | Accept-Encoding: br <- 200 | Cache-Control: max-age=60 | Vary: Accept-Encoding
		GET | Accept-Encoding: gzip => body=1`),
	c("9110 12.5.5 Vary reaches the visitor", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo, Accept-Encoding
		GET | Foo: 1 => Vary: Foo, Accept-Encoding`),
	c("9110 12.5.1 Accept", `GET | Accept: text/html, */*;q=0.8 <- 200 | Cache-Control: max-age=60 | Vary: Accept
		GET | Accept: Text/HTML,*/*;q=0.80
		GET | Accept: application/json <- 200`),
	c("9110 10.1.5 User-Agent", `GET | User-Agent: a/1 <- 200 | Cache-Control: max-age=60 | Vary: User-Agent
		GET | User-Agent: a/1
		GET | User-Agent: b/1 <- 200`),
	c("9110 11.6.2 Vary: Authorization", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60, public | Vary: Authorization
		GET | Authorization: Basic YTpi
		GET <- 200`),
	c("9111 4.1 Vary: Cookie, nobody has one", "GET <- 200 | Cache-Control: max-age=60 | Vary: Cookie\nGET"),
	c("9111 4.1 Vary: Origin", "GET | Origin: http://a.test <- 200 | Cache-Control: max-age=60 | Vary: Origin\nGET | Origin: http://b.test <- 200"),
	c("9111 4.1 sixteen names and more", `GET | A1: 1 <- 200 | Cache-Control: max-age=60 | Vary: a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16
		GET | A1: 1
		GET | A1: 1 | A16: 2 <- 200`),

	// Variants and validators.
	c("9111 4.3.1 each variant is validated with its own", `GET | Foo: 1 <- 200 | Cache-Control: max-age=0 | Vary: Foo | ETag: "a"
		GET | Foo: 2 <- 200 | Cache-Control: max-age=0 | Vary: Foo | ETag: "b"
		GET | Foo: 1 <- 304 | ETag: "a" | Cache-Control: max-age=60 => up If-None-Match~ "a" | body=1
		GET | Foo: 1 => body=1
		GET | Foo: 2 <- 304 | ETag: "b" => up If-None-Match~ "b" | body=2`),
	c("9111 4.1 a new request names all stored variants, and one is it", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a"
		GET | Foo: 2 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "b"
		GET | Foo: 3 <- 304 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a" => up If-None-Match: "b", "a" | body=1 | ETag: "a"
		GET | Foo: 3 => body=1
		GET | Foo: 2 => body=2`),
	c("9111 4.1 a new request names all stored variants, and none is it", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a"
		GET | Foo: 3 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "c" => up If-None-Match: "a"
		GET | Foo: 3 => body=2
		GET | Foo: 1 => body=1`),
	c("9111 4.3.4 a 304 for a variant that nobody has", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a"
		GET | Foo: 3 <- 304 | ETag: "x" <- 200 | Vary: Foo | Cache-Control: max-age=60
		GET | Foo: 1 => body=1`),
	c("9111 4.3.4 a 304 without any validator for several variants", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a"
		GET | Foo: 2 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "b"
		GET | Foo: 3 <- 304 <- 200 | Vary: Foo | Cache-Control: max-age=60`),
	c("9111 4.3.4 a 304 for one variant leaves another with the same strong validator", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a" | X-A: 1
		GET | Foo: 2 <- 304 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a" | X-A: 2 => body=1 | X-A: 2
		GET | Foo: 1 => body=1 | X-A: 1
		GET | Foo: 2 => body=1 | X-A: 2`),
	c("9111 4.3.4 so does one that validates its own", `GET | Foo: 1 <- 200 | Cache-Control: max-age=0 | Vary: Foo | ETag: "a" | X-A: 1
		GET | Foo: 2 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a" | X-A: 2
		GET | Foo: 1 <- 304 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a" | X-A: 3 => body=1 | X-A: 3
		GET | Foo: 2 => body=2 | X-A: 2`),
	c("9111 4.3.4 a validation of another person's", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60, public | Vary: Authorization | ETag: "a" | X-A: 1
		GET | Authorization: Basic Yzpk <- 304 | Cache-Control: max-age=60, public | Vary: Authorization | ETag: "a" <- 200 | Cache-Control: max-age=60, public | Vary: Authorization | ETag: "a" => X-A: -
		GET | Authorization: Basic YTpi => X-A: 1
		GET | Authorization: Basic Yzpk => X-A: -`),
	c("9111 4.3.4 an origin that the answer names", `GET | Origin: https://a.test <- 200 | Cache-Control: max-age=60 | ETag: "a" | Access-Control-Allow-Origin: https://a.test
		GET | Origin: https://b.test <- 304 | Cache-Control: max-age=60 | ETag: "a" | Access-Control-Allow-Origin: https://b.test => body=1 | Access-Control-Allow-Origin: https://b.test
		GET | Origin: https://a.test => Access-Control-Allow-Origin: https://a.test
		GET | Origin: https://b.test => Access-Control-Allow-Origin: https://b.test`),
	c("9111 4.3.4 an origin that only the validation names", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET | Origin: https://b.test <- 304 | Cache-Control: max-age=60 | ETag: "a" | Access-Control-Allow-Origin: https://b.test => body=1 | Access-Control-Allow-Origin: https://b.test
		GET <- 200 | Cache-Control: max-age=60 | ETag: "a" => Access-Control-Allow-Origin: -`),
	c("9111 4.1 an origin that the answer names, and a 304 that names none", `GET | Origin: https://a.test <- 200 | Cache-Control: max-age=60 | ETag: "a" | Access-Control-Allow-Origin: https://a.test
		GET | Origin: https://b.test <- 304 | ETag: "a" <- 200 | Cache-Control: max-age=60 | ETag: "a" | Access-Control-Allow-Origin: https://b.test => Access-Control-Allow-Origin: https://b.test
		GET | Origin: https://a.test => body=1 | Access-Control-Allow-Origin: https://a.test`),
	c("9111 4.1 a coding for who did not ask for it", `GET | Accept-Encoding: gzip <- 200 | Cache-Control: max-age=60 | Vary: Accept-Encoding | ETag: "a" | Content-Encoding: gzip
		GET <- 304 | ETag: "a" <- 200 | Cache-Control: max-age=60 | Vary: Accept-Encoding | ETag: "a" => Content-Encoding: -`),
}
