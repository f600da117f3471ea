package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// must ends the test where err is one.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// release makes the directory dir with routes.yaml in it.
func release(t *testing.T, dir, text string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	write(t, filepath.Join(dir, "routes.yaml"), text)
}

// turn makes name a link to target in one step, whatever it was before.
func turn(t *testing.T, name, target string) {
	t.Helper()
	aside := name + ".next"
	must(t, os.Symlink(target, aside))
	must(t, os.Rename(aside, name))
}

// Whatever stands on the way to the file may be replaced, and what takes its
// place is followed from then on.
func TestReloadFollowsTheWholeWayToTheFile(t *testing.T) {
	cases := []struct {
		name string
		// make makes a file with oneRule under dir and gives its path; change
		// brings another with twoRules into its place.
		make   func(t *testing.T, dir string) string
		change func(t *testing.T, dir string)
	}{
		{"a link to a directory is turned round", func(t *testing.T, dir string) string {
			release(t, filepath.Join(dir, "rel1"), oneRule)
			turn(t, filepath.Join(dir, "current"), "rel1")
			return filepath.Join(dir, "current", "routes.yaml")
		}, func(t *testing.T, dir string) {
			release(t, filepath.Join(dir, "rel2"), twoRules)
			turn(t, filepath.Join(dir, "current"), "rel2")
		}},
		{"a directory is renamed away and another takes its place", func(t *testing.T, dir string) string {
			release(t, filepath.Join(dir, "etc"), oneRule)
			return filepath.Join(dir, "etc", "routes.yaml")
		}, func(t *testing.T, dir string) {
			release(t, filepath.Join(dir, "new"), twoRules)
			must(t, os.Rename(filepath.Join(dir, "etc"), filepath.Join(dir, "old")))
			must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "etc")))
		}},
		{"a directory further up is replaced", func(t *testing.T, dir string) string {
			release(t, filepath.Join(dir, "app", "etc", "umbral"), oneRule)
			return filepath.Join(dir, "app", "etc", "umbral", "routes.yaml")
		}, func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, "app"), filepath.Join(dir, "old")))
			release(t, filepath.Join(dir, "app", "etc", "umbral"), twoRules)
		}},
		{"a link in the middle of a chain is turned round", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "v1.yaml"), oneRule)
			turn(t, filepath.Join(dir, "mid"), "v1.yaml")
			must(t, os.Mkdir(filepath.Join(dir, "etc"), 0o700))
			turn(t, filepath.Join(dir, "etc", "routes.yaml"), "../mid")
			return filepath.Join(dir, "etc", "routes.yaml")
		}, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "v2.yaml"), twoRules)
			turn(t, filepath.Join(dir, "mid"), filepath.Join(dir, "v2.yaml"))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := c.make(t, dir)
			r, done := watched(t, ReloadOptions{Path: path})
			c.change(t, dir)
			for len(r.File().Rules) != 2 {
				_ = await(t, done) // perhaps of what was missing in between
			}
			write(t, path, oneRule)
			for len(r.File().Rules) != 1 {
				_ = await(t, done)
			}
		})
	}
}

func TestReloadFollowsADirectoryThatGoesAndComes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc")
	path := filepath.Join(dir, "routes.yaml")
	release(t, dir, oneRule)
	r, done := watched(t, ReloadOptions{Path: path})
	must(t, os.RemoveAll(dir))
	if err := await(t, done); err == nil {
		t.Error("a missing directory is no fault")
	}
	release(t, dir, twoRules)
	for len(r.File().Rules) != 2 || r.Status().Err != nil {
		_ = await(t, done)
	}
}

func TestReloadFollowsAFileWhoseDirectoryIsYetToCome(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	r, done := watched(t, ReloadOptions{Path: filepath.Join(dir, "routes.yaml"), Optional: true})
	release(t, dir, oneRule)
	for len(r.File().Rules) != 1 {
		_ = await(t, done)
	}
}

func TestStepsGoTheWayThatTheSystemGoes(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	release(t, filepath.Join(dir, "deep", "rel1"), oneRule)
	turn(t, filepath.Join(dir, "current"), filepath.Join("deep", "rel1"))
	turn(t, filepath.Join(dir, "loop"), "loop")
	at := func(names ...string) []string {
		for i, name := range names {
			names[i] = filepath.Join(dir, name)
		}
		return names
	}
	separator := string(filepath.Separator)
	for _, c := range []struct {
		path string
		want []string
	}{
		{"current/routes.yaml", at("current", "deep", "deep/rel1", "deep/rel1/routes.yaml")},
		{"current/../rel1/routes.yaml", at("current", "deep", "deep/rel1", "deep/rel1", "deep/rel1/routes.yaml")},
		{"current/none/routes.yaml", at("current", "deep", "deep/rel1", "deep/rel1/none")},
	} {
		steps := stepsTo(dir + separator + c.path)
		above := slices.Index(steps, c.want[0])
		if above < 0 || !slices.Equal(steps[above:], c.want) {
			t.Errorf("%s: %q", c.path, steps)
		}
	}
	if n := len(stepsTo(dir + separator + "loop")); n < maxLinks || n > 2*maxLinks {
		t.Errorf("a link to itself: %d steps", n)
	}
	t.Chdir(dir)
	if steps := stepsTo("./current"); steps[len(steps)-1] != filepath.Join(dir, "deep/rel1") {
		t.Errorf("from the working directory: %q", steps)
	}
}
