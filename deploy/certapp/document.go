package certapp

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

const raster = 340 // pixels a side: 340·340·3 bytes make a download of some 340 KB

// document writes the certificate as a PDF of one page: a few lines of text and
// the seal as an uncompressed picture, so that ranges of the file have something
// to be cut from. The same certificate always gives the same bytes.
func document(c Certificate) []byte {
	var text strings.Builder
	line := func(font string, size, y int, s string) {
		// Times is a little under half its size wide on average: near enough to centre.
		x := 421 - float64(len([]rune(s))*size)*0.225
		fmt.Fprintf(&text, "BT /%s %d Tf %.0f %d Td (%s) Tj ET\n", font, size, x, y, pdfString(s))
	}
	text.WriteString("0.35 0.33 0.28 RG 2 w 30 30 782 535 re S 0.5 w 38 38 766 519 re S\n")
	line("F1", 16, 500, "Registro de Certificados")
	line("F2", 34, 440, c.Holder)
	line("F1", 16, 405, "has completed")
	line("F2", 22, 370, c.Course)
	line("F1", 14, 340, fmt.Sprintf("%d hours - %s - %s", c.Hours, c.Grade, c.Issued.Format("2 January 2006")))
	if c.Revoked {
		line("F2", 18, 310, "REVOKED")
	}
	line("F1", 11, 60, "Verification code "+c.Code)
	text.WriteString("q 200 0 0 200 321 85 cm /Seal Do Q\n")

	picture := sealPixels(c.Code)
	objects := [][]byte{
		[]byte("<< /Type /Catalog /Pages 2 0 R >>"),
		[]byte("<< /Type /Pages /Kids [3 0 R] /Count 1 >>"),
		[]byte("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 842 595] /Contents 4 0 R /Resources << /Font << /F1 5 0 R /F2 6 0 R >> /XObject << /Seal 7 0 R >> >> >>"),
		stream("", []byte(text.String())),
		[]byte("<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding >>"),
		[]byte("<< /Type /Font /Subtype /Type1 /BaseFont /Times-Bold /Encoding /WinAnsiEncoding >>"),
		stream(fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8 ", raster, raster), picture),
	}
	out := bytes.NewBufferString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	offsets := make([]int, len(objects))
	for i, object := range objects {
		offsets[i] = out.Len()
		fmt.Fprintf(out, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	xref := out.Len()
	fmt.Fprintf(out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, at := range offsets {
		fmt.Fprintf(out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(out, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return out.Bytes()
}

func stream(dict string, data []byte) []byte {
	return fmt.Appendf(nil, "<< %s/Length %d >>\nstream\n%s\nendstream", dict, len(data), data)
}

// pdfString escapes s for a PDF literal string in WinAnsi, which is Latin-1 for
// the letters used here; anything beyond it becomes a question mark.
func pdfString(s string) []byte {
	var out []byte
	for _, r := range s {
		switch {
		case r == '(' || r == ')' || r == '\\':
			out = append(out, '\\', byte(r))
		case r >= 0x20 && r < 0x7f || r >= 0xa0 && r <= 0xff:
			out = append(out, byte(r))
		default:
			out = append(out, '?')
		}
	}
	return out
}

// sealPixels draws the seal's curves and marks as RGB on white.
func sealPixels(code string) []byte {
	d := designOf(code)
	pix := bytes.Repeat([]byte{255}, raster*raster*3)
	r, g, b := rgb(d.hue)
	dot := func(radius, theta float64) {
		sin, cos := math.Sincos(theta)
		x, y := int(raster/2+radius*raster/200*sin), int(raster/2-radius*raster/200*cos)
		if x >= 0 && y >= 0 && x < raster && y < raster {
			copy(pix[(y*raster+x)*3:], []byte{r, g, b})
		}
	}
	const steps = 2400
	for step := range steps {
		theta := 2 * math.Pi * float64(step) / steps
		dot(96, theta)
		dot(70, theta)
		for _, curve := range d.rosettes {
			dot(curve.radius(theta), theta)
		}
	}
	for i, long := range d.ticks {
		inner := 89.0
		if long {
			inner = 84
		}
		for radius := inner; radius < 93; radius += 0.3 {
			dot(radius, 2*math.Pi*float64(i)/64)
		}
	}
	return pix
}

// rgb is hsl(hue, 58%, 48%), the seal's ink.
func rgb(hue int) (r, g, b byte) {
	channel := func(n float64) byte {
		k := math.Mod(n+float64(hue)/30, 12)
		return byte(255 * (0.48 - 0.28*max(-1, min(k-3, 9-k, 1))))
	}
	return channel(0), channel(8), channel(4)
}
