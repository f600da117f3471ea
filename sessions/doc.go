// Package sessions terminates sessions at the edge: the browser holds one
// opaque cookie, and every cookie of the app stays in that visitor's jar.
//
// A visitor without a record costs Redis nothing: the few cookies that an
// anonymous page needs are sealed into the cookie itself. A record is one
// hash in Redis, each field sealed with a key that only the cookie's token
// and the edge's secret give together.
//
// Keys in Redis, all below PREFIX:edge: (each script touches one of them, so
// that any of them may live on any slot of a cluster):
//
//	s:{ID}  the record: a hash; or, after rotation or logout, its tombstone: a
//	        string that lives 30 s, and names the ID that goes on in its place.
//	        ID is an HMAC of the token.
//	          m   meta data
//	          c…  one app cookie d… one datum of a co-operating app
//	          f   the highest count of a deleted cookie that was forgotten
//	        A value begins with the count of writes at which it was written,
//	        "7:…", and whoever read the record before that may not replace it.
//	        m's is the record's own count.
//	u:{U}   one user: a hash of the session IDs (s…), the generation (g) and
//	        the not-before mark (n). U is an HMAC of the uid.
//	nb:marks  not-before marks of all users, and of everybody ("*")
//	anon    the IDs of anonymous records by expiry: a sorted set
package sessions
