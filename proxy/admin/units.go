package admin

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Millis is a duration that JSON shows as milliseconds, to the microsecond.
type Millis time.Duration

// MarshalJSON implements [json.Marshaler].
func (d Millis) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Duration(d).Microseconds())/1000, 'f', -1, 64), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Millis) UnmarshalJSON(b []byte) error {
	var ms float64
	if err := json.Unmarshal(b, &ms); err != nil {
		return err
	}
	*d = Millis(ms * float64(time.Millisecond))
	return nil
}

// Seconds is a duration that JSON shows as whole seconds, as Age does.
type Seconds time.Duration

// MarshalJSON implements [json.Marshaler].
func (d Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, int64(time.Duration(d)/time.Second), 10), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Seconds) UnmarshalJSON(b []byte) error {
	var s int64
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*d = Seconds(time.Duration(s) * time.Second)
	return nil
}

// Span says a rule's duration as routes.yaml does: 15m, 1h30m, 250ms; 30d is
// 720h.
func Span(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
