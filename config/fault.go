package config

import (
	"fmt"
	"sort"
	"strings"
)

// Position is a place in routes.yaml. Line and Column count from 1; a zero
// Line means the file as a whole.
type Position struct{ Line, Column int }

// Fault is one thing that is wrong. It is one plain sentence and never holds
// a secret.
type Fault struct {
	// File is empty for a setting, which Message then names.
	File string
	Position
	Message string
}

// Error is "file:line:column: message", or the message alone.
func (f Fault) Error() string {
	switch {
	case f.File == "":
		return f.Message
	case f.Line == 0:
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// Faults is everything that is wrong, in the order of the file. It is never
// empty where it is an error.
type Faults []Fault

// Error has one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// err sorts by place and returns nil where nothing is wrong.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	sort.SliceStable(f, func(i, j int) bool {
		a, b := f[i].Position, f[j].Position
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	return f
}
