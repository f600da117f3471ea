//go:build soak

package e2e

const (
	manyPages     = 100_000
	offeredPages  = 1_000_000
	boundedTier   = 256 << 20
	residentExtra = 0
	killRounds    = 3
)

// buildFlags are none: here figures count.
var buildFlags []string
