//go:build !soak

package e2e

// The sizes of tests that every change runs. With the tag soak they are what
// issue and documents speak of.
const (
	manyPages  = 2000
	killRounds = 1
)

// buildFlags go into the binary under test.
var buildFlags = []string{"-race"}
