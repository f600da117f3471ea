package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Limits of warming.
const (
	warmConcurrency    = 2
	maxWarmConcurrency = 64
	maxWarmURLs        = 50_000
	maxWarmRunning     = 4
	maxWarmJobs        = 20
	maxWarmErrors      = 20
	warmPatience       = 30 * time.Second
)

// errWarmBusy and errWarmClosed are 429 and 503.
var (
	errWarmBusy   = &Problem{Status: http.StatusTooManyRequests, Detail: "four warm jobs are running; wait for one to end", retry: 10 * time.Second}
	errWarmClosed = &Problem{Status: http.StatusServiceUnavailable, Detail: "the edge is shutting down"}
)

// WarmOptions set up a [Warmer].
type WarmOptions struct {
	// Handler is the edge as its visitors meet it: pages are fetched through
	// it, never over the network, so a URL cannot lead anywhere else.
	Handler http.Handler
	// Site is the host that visitors name, for paths without one; nil: full
	// URLs are needed.
	Site func() string
	// Apps are hosts of the app itself: no visitor names them, so that a URL
	// there means the same page of the site.
	Apps []string
	// Concurrency is used where a job names none; 0: 2.
	Concurrency int
	// Patience is how long one page may take; 0: 30s.
	Patience time.Duration
	Now      func() time.Time
	Log      *zap.Logger
}

// WarmRequest is the body of POST /v1/warm: one of Sitemap and URLs.
type WarmRequest struct {
	// Sitemap is the URL or the path of a sitemap or of a sitemap index.
	Sitemap string `json:"sitemap"`
	// URLs are full URLs, or paths on the site.
	URLs []string `json:"urls"`
	// Concurrency is 1 to 64; 0: the edge's own.
	Concurrency int `json:"concurrency"`
}

// WarmJob is how far a job has come.
type WarmJob struct {
	ID string `json:"id"`
	// State is reading (the sitemap), running, done, failed or stopped.
	State    string     `json:"state"`
	Source   string     `json:"source"`
	Started  time.Time  `json:"started"`
	Finished *time.Time `json:"finished,omitempty"`
	// Total is what there is to fetch; Done of it are fetched, of those OK
	// with a 2xx or 3xx and Failed with anything else. Skipped were not asked
	// for: another host's, or beyond the limits.
	Total   int `json:"total"`
	Done    int `json:"done"`
	OK      int `json:"ok"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
	// Cache counts by what Cache-Status says: hit, stored, or not stored.
	Cache map[string]int `json:"cache"`
	// Errors are the first few.
	Errors []WarmError `json:"errors,omitempty"`
	// Detail says why it failed.
	Detail string `json:"detail,omitempty"`

	over chan struct{} // closed at its end
}

// Wait returns when the job has ended, or ctx has, and says how it stands.
func (m *Warmer) Wait(ctx context.Context, job WarmJob) WarmJob {
	select {
	case <-job.over:
	case <-ctx.Done():
	}
	if now, ok := m.Job(job.ID); ok {
		return now
	}
	return job
}

// WarmError is a page that could not be warmed.
type WarmError struct {
	URL    string `json:"url"`
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Warmer fetches pages through the edge, so that they are stored before a
// visitor asks. It keeps the newest 20 jobs. Close ends what runs.
type Warmer struct {
	o      WarmOptions
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	number  int
	running int
	jobs    []*WarmJob // oldest first
}

// NewWarmer returns a Warmer with nothing to do.
func NewWarmer(o WarmOptions) *Warmer {
	if o.Concurrency <= 0 {
		o.Concurrency = warmConcurrency
	}
	if o.Patience <= 0 {
		o.Patience = warmPatience
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	m := &Warmer{o: o}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Close stops every job and returns when all have stopped.
func (m *Warmer) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.wg.Wait()
}

// Start checks q and begins the job, which goes on after the caller's request.
func (m *Warmer) Start(q WarmRequest) (WarmJob, error) {
	targets, source, err := m.plan(q)
	if err != nil {
		return WarmJob{}, err
	}
	n := q.Concurrency
	if n == 0 {
		n = m.o.Concurrency
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return WarmJob{}, errWarmClosed
	}
	if m.running >= maxWarmRunning {
		return WarmJob{}, errWarmBusy
	}
	m.number++
	m.running++
	job := &WarmJob{
		ID: "w" + strconv.Itoa(m.number), State: "running", Source: source,
		Started: m.o.Now().UTC(), Total: len(targets), Cache: map[string]int{}, over: make(chan struct{}),
	}
	if q.Sitemap != "" {
		job.State = "reading"
	}
	m.keep(job)
	m.wg.Go(func() { m.run(job, q, targets, n) })
	return job.snapshot(), nil
}

// plan checks q; targets are distinct.
func (m *Warmer) plan(q WarmRequest) (targets []warmTarget, source string, err error) {
	if q.Concurrency < 0 || q.Concurrency > maxWarmConcurrency {
		return nil, "", badField("concurrency", fmt.Sprintf("must be from 1 to %d", maxWarmConcurrency))
	}
	switch {
	case q.Sitemap != "" && len(q.URLs) > 0:
		return nil, "", badField("urls", "give urls or sitemap, not both")
	case q.Sitemap == "" && len(q.URLs) == 0:
		return nil, "", &Problem{Status: http.StatusBadRequest, Detail: "nothing to warm: name urls or a sitemap"}
	case len(q.URLs) > maxWarmURLs:
		return nil, "", badField("urls", fmt.Sprintf("at most %d", maxWarmURLs))
	case q.Sitemap != "":
		if _, err := m.target(q.Sitemap); err != nil {
			return nil, "", badField("sitemap", err.Error())
		}
		return nil, q.Sitemap, nil
	}
	seen := map[warmTarget]bool{}
	for i, raw := range q.URLs {
		t, err := m.target(raw)
		if err != nil {
			return nil, "", badField(fmt.Sprintf("urls[%d]", i), err.Error())
		}
		if !seen[t] {
			seen[t] = true
			targets = append(targets, t)
		}
	}
	return targets, fmt.Sprintf("%d URLs", len(targets)), nil
}

// warmTarget is a page of one of the sites behind the edge.
type warmTarget struct{ host, target string }

func (t warmTarget) String() string { return t.host + t.target }

var errNoSite = errors.New("needs a full URL, http://host/path: the edge has no site to take a path for")

// target reads a full URL, or a path on the site.
func (m *Warmer) target(raw string) (warmTarget, error) {
	u, err := PlainURL(raw)
	if err != nil {
		return warmTarget{}, err
	}
	i := strings.IndexByte(u, '/')
	t := warmTarget{host: u[:i], target: u[i:]}
	if t.host != "" && !slices.Contains(m.o.Apps, t.host) {
		return t, nil
	}
	if m.o.Site == nil {
		return warmTarget{}, errNoSite
	}
	t.host = m.o.Site()
	return t, nil
}

// keep adds job and forgets the oldest that has ended.
func (m *Warmer) keep(job *WarmJob) {
	m.jobs = append(m.jobs, job)
	for i := 0; len(m.jobs) > maxWarmJobs && i < len(m.jobs); i++ {
		if m.jobs[i].Finished != nil {
			m.jobs = append(m.jobs[:i], m.jobs[i+1:]...)
			return
		}
	}
}

// Job returns how far a job has come, false if it is not known any more.
func (m *Warmer) Job(id string) (WarmJob, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		if j.ID == id {
			return j.snapshot(), true
		}
	}
	return WarmJob{}, false
}

// snapshot copies what goes on changing.
func (j *WarmJob) snapshot() WarmJob {
	out := *j
	out.Cache = make(map[string]int, len(j.Cache))
	for k, v := range j.Cache {
		out.Cache[k] = v
	}
	out.Errors = append([]WarmError(nil), j.Errors...)
	return out
}

// run is a job's own goroutine: it reads the sitemap, then has n workers fetch.
func (m *Warmer) run(job *WarmJob, q WarmRequest, targets []warmTarget, n int) {
	state, detail := "done", ""
	if q.Sitemap != "" {
		found, skipped, err := m.readSitemap(q.Sitemap)
		targets = found
		m.mu.Lock()
		job.State, job.Total, job.Skipped = "running", len(found), skipped
		m.mu.Unlock()
		if err != nil {
			state, detail = "failed", err.Error()
		}
	}
	next := make(chan warmTarget)
	var workers sync.WaitGroup
	for range min(n, len(targets)) {
		workers.Go(func() {
			for t := range next {
				m.count(job, t, m.fetch(t, 0))
			}
		})
	}
	for _, t := range targets {
		if m.ctx.Err() != nil {
			state = "stopped"
			break
		}
		next <- t
	}
	close(next)
	workers.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now().UTC()
	job.State, job.Detail, job.Finished = state, detail, &now
	m.running--
	close(job.over)
	m.o.Log.Info("warm: ended", zap.String("id", job.ID), zap.String("state", state), zap.Int("ok", job.OK), zap.Int("failed", job.Failed), zap.Duration("took", now.Sub(job.Started)))
}

// count adds one page's outcome to job.
func (m *Warmer) count(job *WarmJob, t warmTarget, got fetched) {
	m.mu.Lock()
	defer m.mu.Unlock()
	job.Done++
	if got.err == nil && got.status >= 200 && got.status < 400 {
		job.OK++
		job.Cache[cacheWord(got.cacheStatus)]++
		return
	}
	job.Failed++
	if len(job.Errors) < maxWarmErrors {
		e := WarmError{URL: t.String(), Status: got.status}
		if got.err != nil {
			e.Error = got.err.Error()
		}
		job.Errors = append(job.Errors, e)
	}
}

// warm answers POST /v1/warm with 202 and where to look.
func (a *API) warm(w http.ResponseWriter, r *http.Request, _ caller) error {
	if a.Warm == nil {
		return absent("warming")
	}
	var q WarmRequest
	if err := decode(w, r, &q); err != nil {
		return err
	}
	job, err := a.Warm.Start(q)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/warm/"+job.ID)
	return reply(w, http.StatusAccepted, job)
}

func (a *API) warmJob(w http.ResponseWriter, r *http.Request, _ caller) error {
	if a.Warm == nil {
		return absent("warming")
	}
	job, ok := a.Warm.Job(r.PathValue("id"))
	if !ok {
		return ErrNotFound
	}
	return reply(w, http.StatusOK, job)
}
