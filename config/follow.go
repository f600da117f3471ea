package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// trail is what leads to some files now, and a watch on it.
type trail struct {
	watch *fsnotify.Watcher
	// steps are the entries of directories whose change may lead elsewhere, or
	// to other content.
	steps map[string]bool
}

// follow watches, for each path, every directory that holds a step of the way
// to the file: the file itself may be replaced by another, and so may each
// directory and each symbolic link before it. It watches anew each time, for a
// watch is on a directory and not on its name.
//
// A directory that may be passed but not read cannot be watched; that is an
// error only where it is the one that holds the last step.
func follow(paths []string) (*trail, error) {
	for range 4 { // what changes all the time is followed as well as can be
		t, err := followOnce(paths)
		if err != nil {
			return nil, err
		}
		// A link that was turned round before the watch stood has told nobody.
		if t.current(paths) {
			return t, nil
		}
		_ = t.watch.Close()
	}
	return followOnce(paths)
}

func followOnce(paths []string) (*trail, error) {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	t := &trail{watch: watch, steps: make(map[string]bool)}
	for _, path := range paths {
		steps := stepsTo(path)
		for i, step := range steps {
			err := watch.Add(filepath.Dir(step))
			if err != nil && i == len(steps)-1 && !errors.Is(err, fs.ErrNotExist) {
				_ = watch.Close()
				return nil, err
			}
			t.steps[step] = true
		}
	}
	return t, nil
}

// current reports whether t still is the way to paths.
func (t *trail) current(paths []string) bool {
	for _, path := range paths {
		for _, step := range stepsTo(path) {
			if !t.steps[step] {
				return false
			}
		}
	}
	return true
}

// maxLinks is how many symbolic links Linux follows (path_resolution(7)).
const maxLinks = 40

// stepsTo lists the way to a file as the system goes it: each name, in the
// directory where it is looked for, with symbolic links resolved before it.
// The last step is the file, or what is missing on the way there.
func stepsTo(path string) (steps []string) {
	if !filepath.IsAbs(path) {
		if here, err := os.Getwd(); err == nil {
			path = here + string(filepath.Separator) + path
		}
	}
	dir, names := split(path)
	for links := 0; len(names) > 0; {
		name := names[0]
		names = names[1:]
		switch name {
		case ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		step := filepath.Join(dir, name)
		steps = append(steps, step)
		target, err := os.Readlink(step)
		switch {
		case err != nil: // no link
			if _, err := os.Lstat(step); err != nil {
				return steps
			}
			dir = step
			continue
		case links == maxLinks:
			return steps
		}
		links++
		root, more := split(target)
		if root != "" {
			dir = root
		}
		names = slices.Concat(more, names)
	}
	return steps
}

// split gives the root of a path, "" where it has none, and the names after
// it. ".." among them is left: behind a link it leads elsewhere than it seems.
func split(path string) (root string, names []string) {
	volume := filepath.VolumeName(path)
	if filepath.IsAbs(path) {
		root = volume + string(filepath.Separator)
	}
	return root, strings.FieldsFunc(path[len(volume):], func(c rune) bool { return c < 0x80 && os.IsPathSeparator(byte(c)) })
}
