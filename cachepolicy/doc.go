// Package cachepolicy decides, and does nothing else: whether a response may
// be stored and for how long, whether a stored one may answer a request, what
// an unsafe request invalidates, and how a validation freshens. It makes no
// I/O, logs nothing and reads no clock.
package cachepolicy
