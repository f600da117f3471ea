package cachepolicy

type compiled struct{}
