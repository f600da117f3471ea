package proxy

import (
	"strings"
	"testing"
)

func TestRedacted(t *testing.T) {
	token := strings.Repeat("aB3_-", 22) + "Zz"
	for in, want := range map[string]string{
		"/page?x=1":                               "/page?x=1",
		"/?umbral=" + token:                       "/?umbral=REDACTED",
		"/" + token + "/a?b=" + token + "&c":      "/REDACTED/a?b=REDACTED&c",
		"/" + strings.Repeat("part/", 30) + "end": "/" + strings.Repeat("part/", 30) + "end",
		"/" + token[:99]:                          "/" + token[:99],
	} {
		if got := redacted(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
