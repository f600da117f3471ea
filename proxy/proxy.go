// Package proxy is the edge's way of a request: one pass through a chain,
// outermost first, each link one file.
package proxy

import (
	"net/http"
)

// handler is a link of the chain. It must answer on w.
type handler func(w http.ResponseWriter, x *Exchange)
