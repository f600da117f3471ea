package sessions

import (
	"fmt"
	"strings"
	"testing"
)

// SESSIONS.md §8: above a limit of the jar the oldest cookie that is not in
// auth goes, also where one answer sets more than the jar may hold.
func TestOneAnswerKeepsWithinTheLimitsOfTheJar(t *testing.T) {
	s := startRedis(t)
	e := newEdge(t, s, &app{}, func(o *Options) { o.Limits.Cookies, o.Limits.JarBytes = 5, 600 })
	set := func(from, to, bytes int) string {
		var q strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&q, "&set=c%02d=%s", i, strings.Repeat("x", bytes))
		}
		return "/?" + q.String()[1:]
	}
	for _, tt := range []struct {
		name  string
		pages []string
		want  string
	}{
		{"too many", []string{set(0, 20, 1)}, "c16 c17 c18 c19"},
		{"too many bytes", []string{set(0, 4, 200)}, "c02 c03"},
		{"too many, one of which the jar had", []string{set(0, 4, 1), set(0, 5, 1)}, "c01 c02 c03 c04"},
		{"one grows, is the oldest, and goes", []string{set(0, 3, 100), set(0, 1, 500)}, "c01 c02"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := e.browser(t)
			b.do("POST", "/?set=sessionid=s")
			for _, page := range tt.pages {
				b.do("GET", page)
			}
			var names []string
			for pair := range strings.SplitSeq(b.do("GET", "/").value("cookie"), "; ") {
				if name, _, _ := strings.Cut(pair, "="); name != "sessionid" {
					names = append(names, name)
				}
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("the jar holds %s, want %s", got, tt.want)
			}
		})
	}
}
