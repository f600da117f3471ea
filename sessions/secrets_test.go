package sessions

import (
	"testing"
	"time"
)

var secondSecret = []byte("fedcba9876543210fedcba9876543210")

// A session that its edge holds in memory is under the secret that it was read
// with. Another first secret moves it all the same, and nothing else does.
func TestASessionInMemoryMovesToANewFirstSecret(t *testing.T) {
	s := startRedis(t)
	e := newEdge(t, s, &app{}, nil).started(t)
	b := signedIn(t, e, "1")
	inMemory := func() {
		t.Helper()
		eventually(t, 30*time.Second, "in memory", func() bool {
			if a := b.do("GET", "/"); a.anonymous() || len(a.set) != 0 {
				t.Fatalf("%s %v", a.body, a.set)
			}
			return e.term.local.get(mustID(t, b.id())) != nil
		})
	}
	reload := func(secrets ...[]byte) {
		t.Helper()
		if err := e.term.Reload(secrets); err != nil {
			t.Fatal(err)
		}
	}
	inMemory()
	first := b.cookies["umbral"]
	for _, secrets := range [][][]byte{{testSecret, secondSecret}, {testSecret}, {testSecret, testSecret}} {
		reload(secrets...)
		if a := b.do("GET", "/"); a.anonymous() || len(a.set) != 0 {
			t.Errorf("the same first secret: %s %v", a.body, a.set)
		}
	}
	old := mustID(t, b.id())
	reload(secondSecret, testSecret)
	if a := b.do("GET", "/"); a.anonymous() || len(a.set) != 1 || b.cookies["umbral"] == first {
		t.Errorf("another first secret: %s %v", a.body, a.set)
	}
	if kind := s.client.Type(t.Context(), e.term.recordKey(old)).Val(); kind != "string" {
		t.Errorf("the record under the old secret is a %s", kind)
	}
	inMemory()
	reload(secondSecret)
	inMemory()
	// Taken away too early, and given back.
	reload(testSecret)
	if a := b.send("GET", "/"); !a.anonymous() {
		t.Errorf("its secret is gone: %s", a.body)
	}
	reload(testSecret, secondSecret)
	if a := b.do("GET", "/"); a.anonymous() || len(a.set) != 1 {
		t.Errorf("back under the first: %s %v", a.body, a.set)
	}
	inMemory()
	if n := e.term.Stats().Counts["moved"]; n != 2 {
		t.Errorf("moved %d times", n)
	}
}
