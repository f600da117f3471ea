//go:build !soak

package e2e

// The sizes of tests that every change runs. With the tag soak they are what
// issue and documents speak of.
const (
	manyPages    = 1000
	offeredPages = 6000
	boundedTier  = 1 << 20
	// residentExtra is what the race detector and an empty edge take.
	residentExtra = 400 << 20
	killRounds    = 1
)

// buildFlags go into the binary under test.
var buildFlags = []string{"-race"}
