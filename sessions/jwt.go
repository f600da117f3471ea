package sessions

import (
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// signedJWT is a record's X-Edge-Identity, until it is signed anew.
type signedJWT struct {
	text   string
	until  int64
	secret *secret
}

// claims are the JWT's (RFC 7519 §4.1), and the data of the session.
type claims struct {
	Issuer   string            `json:"iss"`
	Audience string            `json:"aud,omitempty"`
	Subject  string            `json:"sub,omitempty"`
	Session  string            `json:"sid"`
	Issued   int64             `json:"iat"`
	Expires  int64             `json:"exp"`
	Data     map[string]string `json:"data,omitempty"`
}

// jwt is the record's X-Edge-Identity at now. It is signed once for half of
// its life: the app always gets one that is good for the other half.
func (t *Terminator) jwt(r *record, now int64) string {
	if t.opt().JWT.Off {
		return ""
	}
	s := t.first()
	if j := r.jwt.Load(); j != nil && now < j.until && j.secret == s {
		return j.text
	}
	c := claims{
		Issuer: "umbral", Audience: t.opt().JWT.Audience, Subject: r.meta.user, Session: r.session,
		Issued: now / 1000, Expires: now/1000 + int64(t.opt().JWT.TTL/time.Second),
	}
	for _, d := range r.data {
		if c.Data == nil {
			c.Data = make(map[string]string, len(r.data))
		}
		c.Data[d.name] = d.value
	}
	text, err := t.signJWT(s, c)
	if err != nil {
		t.warn("a JWT could not be signed", err)
		return ""
	}
	r.jwt.Store(&signedJWT{text: text, until: now + t.opt().JWT.TTL.Milliseconds()/2, secret: s})
	return text
}

func (t *Terminator) signJWT(s *secret, c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	key := jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: s.ed, KeyID: s.kid}}
	if t.opt().JWT.Alg == "HS256" {
		shared := t.opt().JWT.Key
		if len(shared) == 0 {
			shared = s.hs
		}
		key = jose.SigningKey{Algorithm: jose.HS256, Key: shared}
	}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// JWTKey is the key of HS256 that is derived from a secret, for an app that
// is to verify with it.
func JWTKey(secret []byte) ([]byte, error) {
	s, err := newSecret(secret)
	if err != nil {
		return nil, err
	}
	return s.hs, nil
}

// JWKS is the JSON Web Key Set (RFC 7517 §5) of every secret in force: public
// keys only, none where the algorithm is symmetric.
func (t *Terminator) JWKS() []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if t.opt().JWT.Alg == "EdDSA" {
		for _, s := range *t.secrets.Load() {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.ed.Public(), KeyID: s.kid, Algorithm: "EdDSA", Use: "sig"})
		}
	}
	out, err := json.Marshal(set)
	if err != nil {
		return []byte(`{"keys":[]}`)
	}
	return out
}
