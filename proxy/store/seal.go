package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// errSealed says that no secret in force opens a sealed text.
var errSealed = errors.New("store: no secret opens this")

// keyring seals what is personal before it leaves the edge: AES-256-GCM under
// a key of its own for every text, derived by HKDF-SHA256 (RFC 5869) from one
// of EDGE_SECRETS, what the text is for and what it is bound to. As each key
// seals only the versions of one text, random nonces never come near their
// limit (NIST SP 800-38D §8.3). It is immutable.
type keyring struct{ keys []ringKey }

type ringKey struct {
	id  [4]byte // names the secret in the sealed text
	prk []byte
}

// newKeyring takes the secrets in force: the first seals, all open. With none
// nothing is sealed and nothing opens.
func newKeyring(secrets [][]byte) (*keyring, error) {
	ring := &keyring{}
	for i, secret := range secrets {
		if len(secret) < 32 {
			return nil, fmt.Errorf("secret %d is shorter than 32 bytes", i+1)
		}
		prk, err := hkdf.Extract(sha256.New, secret, []byte("umbral store v1"))
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		key := ringKey{prk: prk}
		id, err := hkdf.Expand(sha256.New, prk, "id", len(key.id))
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		copy(key.id[:], id)
		ring.keys = append(ring.keys, key)
	}
	return ring, nil
}

func (k *ringKey) aead(purpose string, bound []byte) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, k.prk, purpose+"\x00"+string(bound), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal appends id, nonce and ciphertext of plain to dst. The text opens only
// for the same purpose and bound to the same bytes.
func (r *keyring) seal(dst, plain []byte, purpose string, bound []byte) ([]byte, error) {
	if len(r.keys) == 0 {
		return nil, errSealed
	}
	key := &r.keys[0]
	aead, err := key.aead(purpose, bound)
	if err != nil {
		return nil, err
	}
	dst = append(dst, key.id[:]...)
	return aead.Seal(dst, nil, plain, bound), nil
}

// open returns what seal was given, in memory of its own.
func (r *keyring) open(box []byte, purpose string, bound []byte) ([]byte, error) {
	for i := range r.keys {
		key := &r.keys[i]
		if len(box) < len(key.id) || string(box[:len(key.id)]) != string(key.id[:]) {
			continue
		}
		aead, err := key.aead(purpose, bound)
		if err != nil {
			return nil, err
		}
		if plain, err := aead.Open(nil, nil, box[len(key.id):], bound); err == nil {
			return plain, nil
		}
	}
	return nil, errSealed
}
