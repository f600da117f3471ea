//go:build soak

package e2e

const (
	manyPages  = 100_000
	killRounds = 3
)

// buildFlags are none: here figures count.
var buildFlags []string
