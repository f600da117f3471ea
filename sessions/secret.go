package sessions

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"

	"github.com/gorilla/securecookie"
)

// MinSecret is the least number of bytes of a secret.
const MinSecret = 32

// token is what the cookie carries: knowing it is being the session.
type token [28]byte

// id names a record: an HMAC of its token under the secret's lookup key. It
// is what Redis, the app, logs and operators see.
type id [24]byte

// idLength is that of an id's text.
const idLength = 32

func (i id) String() string { return base64.RawURLEncoding.EncodeToString(i[:]) }

func parseID(s string) (i id, ok bool) {
	if len(s) != idLength {
		return i, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(i[:], []byte(s))
	return i, err == nil && n == len(i)
}

// secret holds the keys derived from one of EDGE_SECRETS by HKDF (RFC 5869).
type secret struct {
	name [4]byte // names the secret in records; says nothing of it

	signed *securecookie.SecureCookie // session mode: HMAC only
	sealed *securecookie.SecureCookie // sealed mode: AES and HMAC of their own

	sign, lookup, digest *macs
	record               *macs
	admin                cipher.AEAD

	ed  ed25519.PrivateKey
	hs  []byte
	kid string
}

func newSecret(raw []byte) (*secret, error) {
	if len(raw) < MinSecret {
		return nil, fmt.Errorf("sessions: a secret has %d bytes, fewer than %d", len(raw), MinSecret)
	}
	var err error
	key := func(info string) []byte {
		k, e := hkdf.Key(sha256.New, raw, nil, "umbral/1 "+info, 32)
		if e != nil {
			err = e
		}
		return k
	}
	s := &secret{}
	copy(s.name[:], key("name"))
	sign := key("sign")
	s.signed = securecookie.New(sign, nil)
	s.sealed = securecookie.New(key("seal mac"), key("seal aes"))
	for _, sc := range []*securecookie.SecureCookie{s.signed, s.sealed} {
		// The age is checked here, by the edge's own clock.
		sc.MaxAge(0).MaxLength(maxSealed).SetSerializer(securecookie.NopEncoder{})
	}
	s.sign, s.lookup = newMacs(sign), newMacs(key("lookup"))
	s.digest, s.record = newMacs(key("digest")), newMacs(key("record"))
	if s.admin, err = newGCM(key("admin")); err != nil {
		return nil, err
	}
	s.ed = ed25519.NewKeyFromSeed(key("jwt ed25519"))
	s.hs = key("jwt hs256")
	s.kid = hex.EncodeToString(s.name[:])
	if err != nil {
		return nil, err
	}
	return s, nil
}

// newSecrets keeps those of known that are among raw: what verified or was read
// under a secret is told from the rest by the secret it points to.
func newSecrets(raw [][]byte, known []*secret) ([]*secret, error) {
	if len(raw) == 0 {
		return nil, errors.New("sessions: no secret")
	}
	out := make([]*secret, 0, len(raw))
	for _, r := range raw {
		s, err := newSecret(r)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(known, s.same); i >= 0 {
			s = known[i]
		}
		out = append(out, s)
	}
	return out, nil
}

func (s *secret) same(other *secret) bool { return hmac.Equal(s.hs, other.hs) }

func newGCM(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// macs makes HMACs under one key, reusing the hashes.
type macs struct{ pool sync.Pool }

// mac is a hash with room for its input and sum, so that neither escapes to
// the heap at each use.
type mac struct {
	h   hash.Hash
	in  []byte
	sum [sha256.Size]byte
}

func newMacs(key []byte) *macs {
	return &macs{pool: sync.Pool{New: func() any {
		return &mac{h: hmac.New(sha256.New, key), in: make([]byte, 0, 256)}
	}}}
}

// of is HMAC-SHA256 over the length-prefixed parts.
func (m *macs) of(parts ...string) [sha256.Size]byte {
	x := m.pool.Get().(*mac)
	x.in = x.in[:0]
	for _, p := range parts {
		x.in = append(x.in, byte(len(p)>>24), byte(len(p)>>16), byte(len(p)>>8), byte(len(p)))
		x.in = append(x.in, p...)
	}
	return m.finish(x)
}

func (m *macs) finish(x *mac) [sha256.Size]byte {
	x.h.Reset()
	x.h.Write(x.in)
	x.h.Sum(x.sum[:0])
	out := x.sum
	m.pool.Put(x)
	return out
}

// id is the name of the record that tok opens.
func (s *secret) id(tok *token) id {
	x := s.lookup.pool.Get().(*mac)
	x.in = append(x.in[:0], "session"...)
	x.in = append(x.in, tok[:]...)
	sum := s.lookup.finish(x)
	return id(sum[:24])
}

// visitorID names the tombstone of a sealed cookie.
func (s *secret) visitorID(number [8]byte) id {
	sum := s.lookup.of("visitor", string(number[:]))
	return id(sum[:24])
}

// userKey names a user in Redis.
func (s *secret) userKey(realm, uid string) string {
	sum := s.lookup.of("user", realm, uid)
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// owner is what purges know a user's pages by, whatever their generation.
func (s *secret) owner(realm, uid string) string {
	if uid == "" {
		return ""
	}
	return s.userDigest(realm, uid, "")
}

// userDigest is what pages of a user are keyed by.
func (s *secret) userDigest(realm, uid, generation string) string {
	sum := s.digest.of("user", realm, uid, generation)
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

// random fills b; the reader of crypto/rand never fails.
func random(b []byte) { _, _ = rand.Read(b) }

func newToken() (t token) {
	random(t[:])
	return t
}

// keys open the fields of one record.
type keys struct {
	aead  cipher.AEAD
	field *macs
	id    id
}

func (s *secret) keys(tok *token, i id) (*keys, error) {
	enc := s.record.of("fields", string(tok[:]))
	names := s.record.of("names", string(tok[:]))
	aead, err := newGCM(enc[:])
	if err != nil {
		return nil, err
	}
	return &keys{aead: aead, field: newMacs(names[:]), id: i}, nil
}

// name is the hash field of a cookie ('c') or datum ('d'): it does not show
// the cookie's name.
func (k *keys) name(kind byte, name, path string) string {
	sum := k.field.of(name, path)
	return string(append([]byte{kind}, sum[:8]...))
}

func (k *keys) seal(field string, plain []byte) []byte {
	return sealWith(k.aead, k.id, field, plain)
}

func (k *keys) open(field string, blob []byte) ([]byte, error) {
	return openWith(k.aead, k.id, field, blob)
}

var errSealed = errors.New("sessions: a sealed field does not open")

func sealWith(a cipher.AEAD, i id, field string, plain []byte) []byte {
	out := make([]byte, a.NonceSize(), a.NonceSize()+len(plain)+a.Overhead())
	random(out)
	return a.Seal(out, out, plain, append(i[:], field...))
}

func openWith(a cipher.AEAD, i id, field string, blob []byte) ([]byte, error) {
	n := a.NonceSize()
	if len(blob) < n {
		return nil, errSealed
	}
	plain, err := a.Open(nil, blob[:n], blob[n:], append(i[:], field...))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}
