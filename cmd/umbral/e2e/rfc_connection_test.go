package e2e

// RFC 9110 §7.6.1, §15.2, RFC 9111 §3.1.
var connectionCases = []play1{
	c("9110 7.6.1 the app's connection fields go no further, and are not stored", `GET <- 200 | Cache-Control: max-age=60 | Connection: X-A, x-b, keep-alive | X-A: 1 | X-B: 2 | X-C: 3 | Keep-Alive: timeout=9 => X-A: - | X-B: - | X-C: 3 | Keep-Alive: - | Connection: -
		GET => X-A: - | X-B: - | X-C: 3 | Keep-Alive: - | Connection: -`),
	c("9110 7.6.1 two lines of Connection", `GET <- 200 | Cache-Control: max-age=60 | Connection: X-A | Connection: X-B | X-A: 1 | X-B: 2 => X-A: - | X-B: -
		GET => X-A: - | X-B: -`),
	c("9110 7.6.1 beside close", `GET <- 200 | Cache-Control: max-age=60 | Connection: X-A, close | X-A: 1 | X-C: 3 => X-A: - | X-C: 3 | Connection: -
		GET => X-A: - | X-C: 3`),
	c("9110 7.6.1 on another line than close", `GET <- 200 | Cache-Control: max-age=60 | Connection: close | Connection: X-A | X-A: 1 => X-A: -
		GET => X-A: -`),
	c("9110 7.6.1 beside close, on what is not stored", `GET <- 200 | Cache-Control: no-store | Connection: close, X-A | X-A: 1 => X-A: -`),
	c("9110 7.6.1 beside close, to a POST", `POST | * a <- 200 | Connection: close, X-A | X-A: 1 => X-A: -`),
	c("9110 7.6.1 beside close, in a 304", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" | Connection: close, X-A | X-A: 1 => body=1 | X-A: -
		GET => body=1 | X-A: -`),
	c("9110 7.6.1 on what is not stored", `GET <- 200 | Cache-Control: no-store | Connection: X-A | X-A: 1 | X-C: 3 | Keep-Alive: timeout=9 | Proxy-Connection: keep-alive => X-A: - | X-C: 3 | Keep-Alive: - | Proxy-Connection: -`),
	c("9111 3.1 Proxy-*", `GET <- 200 | Cache-Control: max-age=60 | Proxy-Authenticate: Basic realm="a" | Proxy-Authentication-Info: a=b | Proxy-Connection: close | Proxy-Authorization: x
		GET => Proxy-Authenticate: - | Proxy-Authentication-Info: - | Proxy-Connection: - | Proxy-Authorization: -`),
	c("9110 7.6.1 TE, Upgrade and Trailer", `GET <- 200 | Cache-Control: max-age=60 | TE: trailers | Upgrade: foo | Connection: upgrade => TE: - | Upgrade: -
		GET => TE: - | Upgrade: - | Trailer: -`),
	c("9110 7.6.1 Connection cannot hide what the message means", `GET <- 200 | Cache-Control: no-store | Connection: Cache-Control, ETag, Vary
		GET <- 200`),
	c("9110 6.5.1 trailers are not stored", `GET <- 200 | Cache-Control: max-age=60 | Trailer: X-T | chunked
		GET => X-T: - | Trailer: -`),
	c("9110 7.6.1 the visitor's connection fields go no further", `GET | Connection: X-A, keep-alive | X-A: 1 | X-B: 2 | Keep-Alive: 5 | TE: trailers | Proxy-Connection: keep-alive <- 200 => up X-A: - | up X-B: 2 | up Keep-Alive: - | up TE: - | up Proxy-Connection: - | up Connection: -`),
	c("9110 7.6.1 with another case", `GET | connection: x-a | X-A: 1 <- 200 => up X-A: -`),
	c("9110 11.7.2 Proxy-Authorization", `GET | Proxy-Authorization: Basic YTpi <- 200 => up Proxy-Authorization: -`),
	c("9110 7.6.3 Via", "GET <- 200 => up Via~ 1.1 umbral-"),
	c("9110 7.2 Host", "GET <- 200 => up X-Forwarded-Host: {site}"),
	c("9110 7.6.2 Max-Forwards", "OPTIONS | Max-Forwards: 5 <- 200 => up Max-Forwards: 4\nOPTIONS | Max-Forwards: 0 => 204 | \"\""),
	c("9110 5.5 bytes past ASCII in a field", "GET <- 200 | Cache-Control: max-age=60 | X-A: \xe4\xf6 => X-A: \xe4\xf6\nGET => X-A: \xe4\xf6"),

	// 1xx (9110 15.2).
	c("9110 15.2 103 goes on", `GET <- 103 | Link: </a>; rel=preload + 200 | Cache-Control: max-age=60 | X-A: 1 => 1xx=103 | early Link: </a>; rel=preload | Link: - | X-A: 1
		GET => 1xx= | Link: - | X-A: 1`),
	c("9110 7.6.1 what a 103's Connection names", `GET <- 103 | Connection: X-Z | X-Z: 1 | Link: </a> + 200 | Cache-Control: max-age=60 => 1xx=103 | early Link: </a> | early X-Z: -`),
	c("9110 7.6.1 beside close in a 103", `GET <- 103 | Connection: X-Z, close | X-Z: 1 | Link: </a> + 200 | Cache-Control: max-age=60 => 1xx=103 | early Link: </a> | early X-Z: -`),
	c("9110 7.6.1 beside close in a 103 to a POST", `POST | * a <- 103 | Connection: X-Z, close | X-Z: 1 | Link: </a> + 200 => 1xx=103 | early Link: </a> | early X-Z: -`),
	c("9110 15.2 several, in order", `GET <- 102 + 103 | Link: </a> + 103 | Link: </b> + 200 | Cache-Control: max-age=60 => 1xx=102,103,103 | early Link: </a> & </b> | Link: -
		GET => 1xx= | Link: -`),
	c("9110 15.2 before what is not stored", `GET <- 103 | Link: </a> + 200 | Cache-Control: no-store => 1xx=103 | Link: -`),
	c("9110 15.2 one that nobody knows", `GET <- 199 | X-A: 1 + 200 | Cache-Control: max-age=60 => 1xx=199 | X-A: -
		GET => 1xx= | X-A: -`),
	c("9110 15.2.1 100 is the connection's", `GET <- 100 + 200 | Cache-Control: max-age=60
		GET`),
	c("9110 15.2 Cache-Control of a 103 says nothing", `GET <- 103 | Cache-Control: max-age=60 | Expires: {+60} + 200
		GET <- 103 | Cache-Control: no-store + 200 | Cache-Control: max-age=60
		GET => body=2`),
	c("9110 15.2 before a 304", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 103 | Link: </a> + 304 | Cache-Control: max-age=60 | ETag: "a" => 1xx=103 | Link: - | body=1
		GET => Link: -`),
	c("9110 15.2 to a POST", "POST | * a <- 103 | Link: </a> + 200 => 1xx=103"),
}
