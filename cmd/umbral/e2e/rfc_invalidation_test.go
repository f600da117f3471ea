package e2e

import (
	"fmt"
	"strings"
)

// RFC 9111 §4.4, RFC 9875.
var invalidationCases = append(unsafeMethods(), []play1{
	c("9111 4.4 the variants too", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		GET | Foo: 2 <- 200 | Cache-Control: max-age=60 | Vary: Foo
		POST | * a <- 200
		GET | Foo: 1 <- 200
		GET | Foo: 2 <- 200`),
	c("9111 4.4 another query stays", `GET ?a=1 <- 200 | Cache-Control: max-age=60
		GET ?a=2 <- 200 | Cache-Control: max-age=60
		POST ?a=1 | * a <- 200
		GET ?a=2
		GET ?a=1 <- 200`),
	c("9111 4.4 Location", `GET b <- 200 | Cache-Control: max-age=60
		POST a | * a <- 201 | Location: {self}b
		GET b <- 200`),
	c("9111 4.4 Location, absolute", `GET b <- 200 | Cache-Control: max-age=60
		POST a | * a <- 303 | Location: http://{site}{self}b
		GET b <- 200`),
	c("9111 4.4 Location, relative", `GET b <- 200 | Cache-Control: max-age=60
		POST a | * a <- 201 | Location: b
		GET b <- 200`),
	c("9111 4.4 Content-Location", `GET b <- 200 | Cache-Control: max-age=60
		POST a | * a <- 200 | Content-Location: {self}b
		GET b <- 200`),
	c("9111 4.4 Content-Location of a DELETE", `GET b?c <- 200 | Cache-Control: max-age=60
		DELETE a <- 200 | Content-Location: http://{site}:80{self}b?c
		GET b?c <- 200`),
	c("9111 4.4 Location of another host", `GET b <- 200 | Cache-Control: max-age=60
		POST a | * a <- 201 | Location: http://elsewhere.test{self}b
		GET b => body=1`),
	c("9111 4.4 Location of another port", `GET b <- 200 | Cache-Control: max-age=60
		POST a | * a <- 201 | Location: http://{site}:8080{self}b
		GET b => body=1`),
	c("9111 4.4 Location of another scheme", `GET b <- 200 | Cache-Control: max-age=60
		POST a | * a <- 201 | Location: https://{site}{self}b
		GET b => body=1`),
	c("9111 4.4 Content-Location of another host", `GET b <- 200 | Cache-Control: max-age=60
		POST a | * a <- 200 | Content-Location: http://elsewhere.test{self}b
		GET b => body=1`),
	c("9111 4.4 Location of an error", `GET b <- 200 | Cache-Control: max-age=60
		POST a | * a <- 400 | Location: {self}b
		GET b => body=1`),
	c("9111 4.4 Location in the answer to a GET", `GET b <- 200 | Cache-Control: max-age=60
		GET a <- 302 | Location: {self}b
		GET b => body=1`),
	c("9111 4.4 invalid, so not served stale either", `GET <- 200 | Cache-Control: max-age=60, stale-if-error=600
		POST | * a <- 200
		GET <- 500`),
	c("9111 4.4 invalid, so not while revalidating", `GET <- 200 | Cache-Control: max-age=0, stale-while-revalidate=600
		POST | * a <- 200
		GET <- 200`),
	c("9111 4.4 no answer invalidates nothing", `GET <- 200 | Cache-Control: max-age=60
		POST | * a <- hang up => 502 | `+badGateway+`
		GET => body=1`),
	c("9875 3 a group", `GET b <- 200 | Cache-Control: max-age=60 | Cache-Groups: "{self}", "y"
		GET c <- 200 | Cache-Control: max-age=60 | Cache-Groups: "z{self}"
		POST a | * a <- 200 | Cache-Group-Invalidation: "{self}" => Cache-Group-Invalidation: -
		GET b <- 200
		GET c => body=2`),
	c("9875 3 a group in the answer to a GET", `GET b <- 200 | Cache-Control: max-age=60 | Cache-Groups: "{self}"
		GET a <- 200 | Cache-Group-Invalidation: "{self}"
		GET b => body=1`),
	c("9875 3 an error", `GET b <- 200 | Cache-Control: max-age=60 | Cache-Groups: "{self}"
		POST a | * a <- 500 | Cache-Group-Invalidation: "{self}"
		GET b => body=1`),
	c("9875 2 what is no list of strings is ignored", `GET b <- 200 | Cache-Control: max-age=60 | Cache-Groups: {self}
		POST a | * a <- 200 | Cache-Group-Invalidation: "{self}"
		GET b => body=1`),
	c("9875 2 a group has case", `GET b <- 200 | Cache-Control: max-age=60 | Cache-Groups: "a{self}"
		POST a | * a <- 200 | Cache-Group-Invalidation: "A{self}"
		GET b => body=1`),
}...)

// unsafeMethods: each with a non-error answer ends what is stored, with an
// error nothing (9111 4.4).
func unsafeMethods() (cases []play1) {
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		for _, status := range []int{200, 201, 204, 299, 301, 302, 303, 307, 399} {
			cases = append(cases, c(fmt.Sprintf("9111 4.4 %s answered %d", method, status),
				fmt.Sprintf("GET <- 200 | Cache-Control: max-age=60\n%s | * a <- %d\nGET <- 200", method, status)))
		}
		for _, status := range []int{400, 404, 412, 499, 500, 503, 599} {
			cases = append(cases, c(fmt.Sprintf("9111 4.4 %s answered %d", method, status),
				fmt.Sprintf("GET <- 200 | Cache-Control: max-age=60\n%s | * a <- %d\nGET => body=1", method, status)))
		}
	}
	cases = append(cases,
		c("9110 9.2.1 OPTIONS is safe", "GET <- 200 | Cache-Control: max-age=60\nOPTIONS <- 200\nGET => body=1"),
		c("9110 9.2.1 HEAD is safe", "GET <- 200 | Cache-Control: max-age=60\nHEAD\nGET => body=1"))
	return cases
}

// unknownMethods go through where the route is the pure RFC.
func unknownMethods() (cases []play1) {
	for _, method := range []string{"M-SEARCH", "PURR", "FOO", "PROPPATCH", "get"} {
		cases = append(cases,
			c("9111 4.4 "+method, "GET <- 200 | Cache-Control: max-age=60\n"+method+" <- 200\nGET <- 200"),
			c("9111 4.4 "+method+" answered 500", "GET <- 200 | Cache-Control: max-age=60\n"+method+" <- 500\nGET => body=1"),
			c("9111 3 "+method+" is not stored", strings.Repeat(method+" <- 200 | Cache-Control: max-age=60\n", 2)+"GET <- 200"))
	}
	return cases
}
