package proxy

// leastSecret is the length from which a run of base64url characters could be
// a session's cookie, which has 112 of them and a sealed one more.
const leastSecret = 100

// redacted is a request target as logs and live views may show it: a cookie's
// value that somebody has put into it is no one's to read there.
func redacted(uri string) string {
	if len(uri) < leastSecret {
		return uri
	}
	var out []byte
	from, run := 0, 0
	for i := 0; i <= len(uri); i++ {
		if i < len(uri) && (isAlnum(uri[i]) || uri[i] == '-' || uri[i] == '_') {
			run++
			continue
		}
		if run >= leastSecret {
			out = append(append(out, uri[from:i-run]...), "REDACTED"...)
			from = i
		}
		run = 0
	}
	if from == 0 {
		return uri
	}
	return string(append(out, uri[from:]...))
}
