package cachepolicy

import (
	"strings"
	"testing"
)

func TestNormalSpelling(t *testing.T) {
	for _, row := range []struct{ section, raw, want string }{
		{"nothing to do", "/p/a-b_c.d~e?x=1&y=a+b", "/p/a-b_c.d~e?x=1&y=a+b"},
		{"§6.2.2.1 hex digits", "/p/%c3%b1?q=%c3%B1", "/p/%C3%B1?q=%C3%B1"},
		{"§6.2.2.2 unreserved characters", "/p/a%41%7e%2D?%71=%31", "/p/aA~-?q=1"},
		{"§2.2 reserved characters keep their meaning", "/a%2fb%3Bc?x=%26&y=%2b", "/a%2Fb%3Bc?x=%26&y=%2B"},
		{"§2.1 what is no ASCII", "/p/ñ", "/p/%C3%B1"},
		{"§2.1 what no URI holds", "/a|b{c}^\"<>`?x=\\", "/a%7Cb%7Bc%7D%5E%22%3C%3E%60?x=%5C"},
		{"§2.4 nothing is decoded twice", "/%2541?%25%34%31", "/%2541?%2541"},
		{"§2.1 a percent sign that encodes nothing", "/%?q=100%&r=%%361&s=%c", "/%25?q=100%25&r=%2561&s=%25c"},
		{"control characters", "/a%0d%0Ab", "/a%0D%0Ab"},
		{"nothing", "", ""},
	} {
		if got := NormalSpelling(row.raw); got != row.want {
			t.Errorf("%s: %q, want %q", row.section, got, row.want)
		}
	}
}

// Purges by URL and prefix meet what is stored however either was spelled.
func TestURLHasOneSpelling(t *testing.T) {
	rule := pureRule
	rule.Query = QueryRule{Sort: true}
	p := mustPolicy(t, rule)
	a, b := get(t, ""), get(t, "")
	a.Path, a.Query = "/p/%c3%b1/%61", "b=2&%61=1"
	b.Path, b.Query = "/p/\xc3\xb1/a", "a=1&b=2"
	if p.URL(a) != p.URL(b) {
		t.Errorf("%q and %q", p.URL(a), p.URL(b))
	}
	if p.Key(a) == p.Key(b) {
		t.Error("keys are made of what came")
	}
}

func FuzzNormalSpelling(f *testing.F) {
	for _, seed := range []string{"/p/%c3%b1", "/%%361", "/a%2541?b=%", "/\xff|"} {
		f.Add(seed, "/x%4")
	}
	f.Fuzz(func(t *testing.T, s, more string) {
		once := NormalSpelling(s)
		if again := NormalSpelling(once); again != once {
			t.Errorf("%q becomes %q, and that %q", s, once, again)
		}
		if decodePairs(once) != decodePairs(s) {
			t.Errorf("%q becomes %q, which means something else", s, once)
		}
		// A prefix that ends between two characters stays a prefix.
		if whole := NormalSpelling(s + "/" + more); !strings.HasPrefix(whole, once+"/") && !strings.HasSuffix(s, "%") && (len(s) < 2 || s[len(s)-2] != '%') {
			t.Errorf("%q is no prefix of %q", once, whole)
		}
	})
}
