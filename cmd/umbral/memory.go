package main

import (
	"context"
	"runtime/debug"
	"time"
)

// codedShare is what of the memory tier is for pages' copies in other codings.
func codedShare(tier int64) int64 { return tier / 8 }

// boundMemory keeps the process within half as much again as its memory tier:
// the collector runs more often near the bound instead of letting garbage
// double the heap. What is not the heap's takes a little beside it.
func boundMemory(tier int64) {
	const rest = 96 << 20 // what an edge with an empty tier may need under load
	ballast = make([]byte, min(tier/8, 32<<20))
	debug.SetMemoryLimit(tier + max(rest, tier*2/5) + int64(len(ballast)))
}

// ballast is never touched, so that the system has no page of it: all it does
// is to let the collector wait for as much garbage while few pages are stored,
// where it would run every few hundred requests.
var ballast []byte

// tidyEvery is how often tidy looks whether the edge has turned idle.
const tidyEvery = time.Second

// tidy gives back to the system what the collector has yet to, once, whenever
// requests have been asked for and then none for two looks: garbage as large
// as the pages themselves would otherwise stay until the next rush.
func tidy(ctx context.Context, requests func() uint64) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	var before uint64
	quiet := 2
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch now := requests(); {
		case now != before:
			before, quiet = now, 0
		case quiet < 2:
			if quiet++; quiet == 2 {
				debug.FreeOSMemory()
			}
		}
	}
}
