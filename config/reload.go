package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Reloader keeps routes.yaml as it is in force, and follows its changes. A
// reload is all or nothing: a faulty file leaves what was in force as it is.
// All methods are safe for concurrent use.
type Reloader struct {
	o     ReloadOptions
	apply func(*File) error
	stop  chan struct{} // closed by Close
	again chan struct{} // the way to the files is to be looked for anew
	done  sync.WaitGroup

	mu     sync.Mutex // held over a whole reload: they come one at a time
	last   [sha256.Size]byte
	state  sync.Mutex // guards file and status, briefly
	file   *File
	status ReloadStatus
}

// ReloadOptions says what is followed.
type ReloadOptions struct {
	// Path is routes.yaml, and Options what the settings have to do with it.
	Path    string
	Options Options
	// Optional: the file need not be there; then there are no rules. A file
	// that goes away later is a fault all the same.
	Optional bool
	// Also are files whose change makes a reload, too: TLS_CERT, the file of
	// EDGE_SECRETS.
	Also []string
	// Done, if not nil, is told of every reload, with nil or why it failed.
	Done func(error)
	// Quiet is how long a file must lie still before it is read; zero: 100 ms.
	Quiet time.Duration
}

// paths are all files that are followed.
func (o *ReloadOptions) paths() []string { return append([]string{o.Path}, o.Also...) }

// ReloadStatus is what has become of reloads so far.
type ReloadStatus struct {
	// At is when the last reload ended, the first load counted.
	At time.Time
	// Err is why it failed, nil if it did not: [Faults] where the file is
	// faulty. The rules in force are then older than the file.
	Err error
	// Good and Failed count reloads, the first load not counted.
	Good, Failed int
	// Missing: the file is optional and not there.
	Missing bool
}

// NewReloader loads the file for the first time.
func NewReloader(o ReloadOptions) (*Reloader, error) {
	if o.Quiet == 0 {
		o.Quiet = 100 * time.Millisecond
	}
	r := &Reloader{o: o, last: fingerprint(o), again: make(chan struct{}, 1)}
	file, err := Load(o.Path, o.Options)
	if o.Optional && errors.Is(err, fs.ErrNotExist) {
		file, err = Empty(o.Path, o.Options), nil
		r.status.Missing = true
	}
	if err != nil {
		return nil, err
	}
	r.file, r.status.At = file, time.Now()
	return r, nil
}

// File is the file in force.
func (r *Reloader) File() *File {
	r.state.Lock()
	defer r.state.Unlock()
	return r.file
}

// Status is what has become of reloads so far.
func (r *Reloader) Status() ReloadStatus {
	r.state.Lock()
	defer r.state.Unlock()
	return r.status
}

// Watch begins to follow changes, until Close. apply puts a new file into
// force; its error leaves the old one. Where the system cannot watch, that is
// the error, and Reload works all the same. Watch is called once.
func (r *Reloader) Watch(apply func(*File) error) error {
	r.mu.Lock()
	r.apply = apply
	r.mu.Unlock()
	t, err := follow(r.o.paths())
	if err != nil {
		return fmt.Errorf("watch %s: %w", r.o.Path, err)
	}
	r.stop = make(chan struct{})
	r.done.Go(func() { r.run(t) })
	return nil
}

// Close ends the watching. Reload must not be called afterwards.
func (r *Reloader) Close() error {
	if r.stop != nil {
		close(r.stop)
		r.done.Wait()
	}
	return nil
}

// Reload reads the file now, changed or not, as on SIGHUP, and lets the way to
// it be followed anew.
func (r *Reloader) Reload() error {
	select {
	case r.again <- struct{}{}:
	default: // it will be looked for anyway
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reload(fingerprint(r.o))
}

// reload is called with mu held.
func (r *Reloader) reload(print [sha256.Size]byte) error {
	r.last = print
	file, err := Load(r.o.Path, r.o.Options)
	if err == nil && r.apply != nil {
		err = r.apply(file)
	}
	r.state.Lock()
	r.status.At, r.status.Err = time.Now(), err
	if err == nil {
		r.file = file
		r.status.Good++
		r.status.Missing = false
	} else {
		r.status.Failed++
	}
	r.state.Unlock()
	if r.o.Done != nil {
		r.o.Done(err)
	}
	return err
}

// maxUnrest is how long a file that never lies still is waited for.
const maxUnrest = 2 * time.Second

// run reloads once the files have lain still. Editors write in several steps
// (truncate and write; write aside and rename), and a file read in between is
// a fault that nobody has made.
func (r *Reloader) run(t *trail) {
	defer func() { _ = t.watch.Close() }()
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	defer quiet.Stop()
	var since time.Time
	for {
		select {
		case <-r.stop:
			return
		case event := <-t.watch.Events:
			if !t.steps[filepath.Clean(event.Name)] || event.Op == fsnotify.Chmod {
				continue
			}
			now := time.Now()
			if since.IsZero() {
				since = now
			}
			quiet.Reset(min(r.o.Quiet, max(0, maxUnrest-now.Sub(since))))
		case err := <-t.watch.Errors:
			// Events were lost, so that anything may have changed.
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				quiet.Reset(r.o.Quiet)
			}
		case <-r.again:
			quiet.Reset(0)
		case <-quiet.C:
			since = time.Time{}
			if next, err := follow(r.o.paths()); err == nil {
				_ = t.watch.Close()
				t = next
			}
			r.changed()
		}
	}
}

// changed reloads where the files hold something else than at the last reload.
// It is called with a trail that stands already, so that no change falls
// between the two.
func (r *Reloader) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if print := fingerprint(r.o); print != r.last {
		_ = r.reload(print) // told to Done, kept in Status
	}
}

// fingerprint is a digest of what the files hold.
func fingerprint(o ReloadOptions) [sha256.Size]byte {
	sum := sha256.New()
	for _, path := range o.paths() {
		data, err := readBounded(path, maxFile)
		if errors.Is(err, os.ErrNotExist) {
			data = []byte("missing")
		}
		digest := sha256.Sum256(data)
		sum.Write(digest[:])
	}
	return [sha256.Size]byte(sum.Sum(nil))
}
