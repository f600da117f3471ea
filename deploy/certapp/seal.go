package certapp

import (
	"crypto/sha256"
	"fmt"
	"html/template"
	"math"
	"strings"
)

// rosette is one closed curve of a guilloché: r = base + swing·cos(petals·θ + phase).
type rosette struct{ base, swing, petals, phase float64 }

func (c rosette) radius(theta float64) float64 {
	return c.base + c.swing*math.Cos(c.petals*theta+c.phase)
}

// design is what a code's digest decides about its seal. The same code always
// gives the same seal, and no two codes the same one.
type design struct {
	hue      int
	rosettes []rosette
	ticks    [64]bool // the first 64 bits of the digest, as long and short marks
}

// turns is how often each rosette is drawn, turned by an equal part of a petal.
const turns = 3

func designOf(code string) design {
	sum := sha256.Sum256([]byte("seal " + code))
	d := design{hue: int(sum[8])*360/256 + int(sum[9])%2}
	for i := range d.ticks {
		d.ticks[i] = sum[i/8]>>(7-i%8)&1 == 1
	}
	for ring := range 3 {
		b := sum[10+4*ring:]
		petals := float64(5 + b[0]%9)
		for turn := range turns {
			d.rosettes = append(d.rosettes, rosette{
				base:   float64(58 - 12*ring),
				swing:  5 + float64(b[1]%5),
				petals: petals,
				phase:  float64(b[2])/40 + float64(turn)*2*math.Pi/turns,
			})
		}
	}
	return d
}

// seal draws the seal of a verification code as an inline SVG of 200 units. It
// uses no style attribute, for the site's CSP allows none.
func seal(code string) template.HTML {
	d := designOf(code)
	var b strings.Builder
	escaped := template.HTMLEscapeString(code)
	fmt.Fprintf(&b, `<svg class="seal" viewBox="0 0 200 200" role="img" aria-label="Seal of %s" fill="none">`, escaped)
	fmt.Fprintf(&b, `<g stroke="hsl(%d 58%% 48%%)"><circle cx="100" cy="100" r="96" stroke-width="1.6"/><circle cx="100" cy="100" r="70" stroke-width=".8"/>`, d.hue)
	for i, long := range d.ticks {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / 64)
		inner := 89.0
		if long {
			inner = 84
		}
		fmt.Fprintf(&b, `<path d="M%.1f %.1fL%.1f %.1f" stroke-width="2"/>`, 100+93*sin, 100-93*cos, 100+inner*sin, 100-inner*cos)
	}
	b.WriteString(`</g>`)
	for i, curve := range d.rosettes {
		fmt.Fprintf(&b, `<path stroke="hsl(%d 58%% %d%%)" stroke-width=".9" d="`, (d.hue+i/turns*24)%360, 42+i%turns*7)
		for step := range 180 {
			theta := 2 * math.Pi * float64(step) / 180
			sin, cos := math.Sincos(theta)
			r := curve.radius(theta)
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(step, 1)], 100+r*sin, 100-r*cos)
		}
		b.WriteString(`Z"/>`)
	}
	fmt.Fprintf(&b, `<g font-family="ui-monospace,monospace" text-anchor="middle" fill="hsl(%d 58%% 48%%)"><text x="100" y="99" font-size="10.5" font-weight="700">%s</text>`, d.hue, template.HTMLEscapeString(firstGroup(code)))
	fmt.Fprintf(&b, `<text x="100" y="108" font-size="5.6">%s</text></g></svg>`, template.HTMLEscapeString(otherGroups(code)))
	return template.HTML(b.String())
}

func firstGroup(code string) string {
	first, _, _ := strings.Cut(code, "-")
	return first
}

func otherGroups(code string) string {
	_, rest, _ := strings.Cut(code, "-")
	return rest
}
