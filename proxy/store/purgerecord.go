package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Record is one purge as the log has it.
type Record struct {
	Position  Position
	At        time.Time
	Edge      string // whose edge appended it, "" where the log itself did
	Selectors []Selector

	word     string // which no other record has
	floor    uint64 // everything up to this number is dead, 0 for none
	waited   bool
	audit    string // sealed
	unknown  bool   // of a newer version: read as purging all
	newEpoch bool
}

// ID is the record's position as text.
func (p Position) ID() string {
	return strconv.FormatUint(p.Epoch, 16) + "-" + strconv.FormatUint(p.Number, 10)
}

// The bounds of one purge.
const (
	maxSelectors    = 10_000
	maxSelectorText = 8 << 10
	maxRecord       = 1 << 20
	maxAuditText    = 1 << 10
)

// ErrSelector says that a purge names nothing, or too much, or two things in
// one selector.
var ErrSelector = errors.New("store: a selector must name exactly one thing")

// The kinds of selectors as the log writes them; soft ones add 16.
const (
	selectURL = iota + 1
	selectPrefix
	selectTag
	selectUser
	selectSession
	selectAll
	selectSoft = 16
)

// encodeSelectors writes list as: uint count, (kind, string)*.
func encodeSelectors(list []Selector) (string, error) {
	if len(list) == 0 || len(list) > maxSelectors {
		return "", fmt.Errorf("%w: %d selectors", ErrSelector, len(list))
	}
	b := binary.AppendUvarint(nil, uint64(len(list)))
	for i := range list {
		s := &list[i]
		kind, text, named := byte(0), "", 0
		for k, t := range []string{s.URL, s.Prefix, s.Tag, s.User, s.Session} {
			if t != "" {
				kind, text = byte(k+1), t
				named++
			}
		}
		if s.All {
			kind = selectAll
			named++
		}
		if named != 1 || len(text) > maxSelectorText {
			return "", ErrSelector
		}
		if s.Soft {
			kind |= selectSoft
		}
		b = appendString(append(b, kind), text)
	}
	if len(b) > maxRecord {
		return "", fmt.Errorf("%w: more than a mebibyte", ErrSelector)
	}
	return string(b), nil
}

func decodeSelectors(text string) ([]Selector, error) {
	r := &reader{text: text}
	list := make([]Selector, r.count(maxSelectors))
	for i := range list {
		kind, text := r.byte(), r.string()
		s := Selector{Soft: kind&selectSoft != 0}
		switch kind &^ selectSoft {
		case selectURL:
			s.URL = text
		case selectPrefix:
			s.Prefix = text
		case selectTag:
			s.Tag = text
		case selectUser:
			s.User = text
		case selectSession:
			s.Session = text
		case selectAll:
			s.All = true
		default:
			r.fail()
		}
		if s.All == (text != "") {
			r.fail()
		}
		list[i] = s
	}
	if r.bad || r.text != "" || len(list) == 0 {
		return nil, errCorrupt
	}
	return list, nil
}

// readRecord reads an entry of the stream. What it does not understand in a
// record of ours purges all: rather too much than too little. An error says
// that the entry is no record of ours.
func readRecord(m redis.XMessage) (Record, error) {
	get := func(name string) string {
		s, _ := m.Values[name].(string)
		return s
	}
	number, ok := strings.CutSuffix(m.ID, "-0")
	rec := Record{word: get("c"), Edge: get("o"), waited: get("w") != "", audit: get("a")}
	var errs [3]error
	var ms int64
	rec.Position.Number, errs[0] = strconv.ParseUint(number, 10, 53)
	rec.Position.Epoch, errs[1] = strconv.ParseUint(get("e"), 10, 64)
	ms, errs[2] = strconv.ParseInt(get("t"), 10, 64)
	if err := errors.Join(errs[:]...); !ok || err != nil || rec.Position.Epoch == 0 || rec.word == "" {
		return Record{}, errCorrupt
	}
	rec.At = time.UnixMilli(ms)
	var err error
	switch get("k") {
	case "purge":
		rec.Selectors, err = decodeSelectors(get("s"))
	case "floor":
		rec.floor, err = strconv.ParseUint(get("f"), 10, 53)
	case "begin", "rebase":
		rec.newEpoch = true
	default:
		err = errCorrupt
	}
	if err != nil {
		rec.unknown = true
		rec.Selectors = []Selector{{All: true}}
	}
	return rec, nil
}
