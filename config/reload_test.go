package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	oneRule  = "version: 1\nroutes: [{match: /a}]\n"
	twoRules = "version: 1\nroutes: [{match: /a}, {match: /b}]\n"
	faulty   = "version: 1\nroutes: [{match: /a, tll: 1h}]\n"
)

// watched is a Reloader whose reloads arrive on done.
func watched(t *testing.T, o ReloadOptions) (r *Reloader, done chan error) {
	t.Helper()
	done = make(chan error, 100)
	o.Quiet = 10 * time.Millisecond
	o.Done = func(err error) { done <- err }
	r, err := NewReloader(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Watch(func(*File) error { return nil }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, done
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// await waits for a reload; the test's own deadline ends a wait in vain.
func await(t *testing.T, done chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-t.Context().Done():
		t.Fatal("no reload")
		return nil
	}
}

func TestReloadFollowsWhatEditorsDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	write(t, path, oneRule)
	r, done := watched(t, ReloadOptions{Path: path})

	write(t, path, twoRules) // in place
	if err := await(t, done); err != nil || len(r.File().Rules) != 2 {
		t.Fatalf("written: %d rules, %v", len(r.File().Rules), err)
	}
	aside := path + "~" // aside, and renamed
	write(t, aside, oneRule)
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
	if err := await(t, done); err != nil || len(r.File().Rules) != 1 {
		t.Fatalf("renamed: %d rules, %v", len(r.File().Rules), err)
	}
}

func TestReloadIsAllOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	write(t, path, twoRules)
	r, done := watched(t, ReloadOptions{Path: path})

	write(t, path, faulty)
	var faults Faults
	if err := await(t, done); !errors.As(err, &faults) || len(faults) != 1 || faults[0].Line != 2 {
		t.Errorf("got %v", err)
	}
	if s := r.Status(); len(r.File().Rules) != 2 || s.Err == nil || s.Failed != 1 || s.Good != 0 {
		t.Errorf("%d rules, %+v", len(r.File().Rules), s)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := await(t, done); !errors.Is(err, os.ErrNotExist) || len(r.File().Rules) != 2 {
		t.Errorf("gone: %v", err)
	}
	write(t, path, oneRule)
	if err := await(t, done); err != nil || len(r.File().Rules) != 1 || r.Status().Err != nil {
		t.Errorf("mended: %v", err)
	}
}

func TestReloadKeepsTheOldWhereTheNewCannotBeApplied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	write(t, path, oneRule)
	r, err := NewReloader(ReloadOptions{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	refuse := errors.New("refused")
	if err := r.Watch(func(*File) error { return refuse }); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := r.Reload(); !errors.Is(err, refuse) || r.Status().Failed != 1 {
		t.Errorf("got %v, %+v", err, r.Status())
	}
}

func TestReloadFollowsKubernetesLinks(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "routes.yaml"), text)
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(name, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..2026_1", oneRule)
	path := filepath.Join(dir, "routes.yaml")
	if err := os.Symlink(filepath.Join("..data", "routes.yaml"), path); err != nil {
		t.Fatal(err)
	}
	r, done := watched(t, ReloadOptions{Path: path})
	version("..2026_2", twoRules)
	if err := await(t, done); err != nil || len(r.File().Rules) != 2 {
		t.Fatalf("%d rules, %v", len(r.File().Rules), err)
	}
	version("..2026_3", oneRule)
	if err := await(t, done); err != nil || len(r.File().Rules) != 1 {
		t.Fatalf("%d rules, %v", len(r.File().Rules), err)
	}
}

func TestOptionalFileMayAppear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	if _, err := NewReloader(ReloadOptions{Path: path}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	r, done := watched(t, ReloadOptions{Path: path, Optional: true})
	if len(r.File().Rules) != 0 || !r.Status().Missing {
		t.Errorf("%+v", r.Status())
	}
	write(t, path, oneRule)
	if err := await(t, done); err != nil || len(r.File().Rules) != 1 || r.Status().Missing {
		t.Errorf("got %v", err)
	}
}

func TestOtherFilesMakeAReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	secrets := filepath.Join(t.TempDir(), "secrets")
	write(t, path, oneRule)
	write(t, secrets, "a")
	r, done := watched(t, ReloadOptions{Path: path, Also: []string{secrets}})
	write(t, secrets, "b")
	if err := await(t, done); err != nil || r.Status().Good != 1 {
		t.Errorf("got %v", err)
	}
	if err := r.Reload(); err != nil || r.Status().Good != 2 {
		t.Errorf("asked for: %v", err)
	}
}

func TestFirstLoadSaysEveryFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	write(t, path, faulty+"metods: []\n")
	_, err := NewReloader(ReloadOptions{Path: path})
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.HasPrefix(err.Error(), path+":2:") {
		t.Errorf("got %v", err)
	}
}
