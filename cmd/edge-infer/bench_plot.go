package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// plotPoint is a product: how many multiply-adds it makes of a byte of weights, and how many a nanosecond.
type plotPoint struct {
	set, label  string
	perByte, at float64
}

// plotRoof is a limit: a level's reading speed, or a set's peak.
type plotRoof struct {
	label string
	speed float64 // bytes a nanosecond, or multiply-adds
	flat  bool
}

// roofline is a plot of products under the limits of the machine.
type roofline struct {
	points []plotPoint
	roofs  []plotRoof
}

func (b *kernelBench) roofline(levels []memoryLevel) *roofline {
	r := &roofline{points: b.points}
	for i, s := range b.sets {
		if b.peaks[i] > 0 {
			r.roofs = append(r.roofs, plotRoof{s.Name, b.peaks[i], true})
		}
	}
	for _, l := range levels {
		r.roofs = append(r.roofs, plotRoof{l.name, b.reads[l.bytes], false})
	}
	return r
}

func writePlot(path string, r *roofline) error {
	out, err := createOutput(path)
	if err != nil {
		return err
	}
	defer out.Abort()
	if _, err := out.Write(r.svg()); err != nil {
		return err
	}
	return out.Finish()
}

// svg draws both axes in powers of two.
func (r *roofline) svg() []byte {
	const width, height, left, top = 760, 480, 70, 30
	x0, x1, y0, y1 := -1.0, 8.0, math.Inf(1), math.Inf(-1)
	for _, p := range r.points {
		x0, x1 = min(x0, math.Floor(math.Log2(p.perByte))), max(x1, math.Ceil(math.Log2(p.perByte)))
		y0, y1 = min(y0, math.Floor(math.Log2(p.at))), max(y1, math.Ceil(math.Log2(p.at)))
	}
	for _, roof := range r.roofs {
		y1 = max(y1, math.Ceil(math.Log2(roof.speed)))
		y0 = min(y0, math.Floor(math.Log2(roof.speed)))
	}
	if y0 >= y1 {
		y0, y1 = 0, 1
	}
	x := func(v float64) float64 { return left + (math.Log2(v)-x0)/(x1-x0)*width }
	y := func(v float64) float64 { return top + (y1-math.Log2(v))/(y1-y0)*height }
	colours := []string{"#1b6ca8", "#c0392b", "#27824a", "#8e44ad", "#b9770e", "#34495e"}
	colour := map[string]string{}
	of := func(name string) string {
		if colour[name] == "" {
			colour[name] = colours[len(colour)%len(colours)]
		}
		return colour[name]
	}

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width+left+160, height+top+60)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	text := func(x, y float64, anchor, fill, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, fill, html.EscapeString(s))
	}
	line := func(xa, ya, xb, yb float64, style string) {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", xa, ya, xb, yb, style)
	}
	for e := x0; e <= x1; e++ {
		v := math.Exp2(e)
		line(x(v), top, x(v), top+height, `stroke="#ddd"`)
		text(x(v), top+height+16, "middle", "#333", fmt.Sprint(v))
	}
	for e := y0; e <= y1; e++ {
		v := math.Exp2(e)
		line(left, y(v), left+width, y(v), `stroke="#ddd"`)
		text(left-6, y(v)+4, "end", "#333", fmt.Sprint(v))
	}
	text(left+width/2, top+height+40, "middle", "#333", "multiply-adds a byte of weights")
	text(left, top-10, "middle", "#333", "GMAC/s")
	for _, roof := range r.roofs {
		if roof.flat {
			line(left, y(roof.speed), left+width, y(roof.speed), fmt.Sprintf(`stroke="%s" stroke-width="1.5"`, of(roof.label)))
			text(left+width+6, y(roof.speed)+4, "start", of(roof.label), fmt.Sprintf("%s %.0f", roof.label, roof.speed))
			continue
		}
		// From the left edge, or the bottom, up to the right edge, or the top.
		from := max(math.Exp2(x0), math.Exp2(y0)/roof.speed)
		to := min(math.Exp2(x1), math.Exp2(y1)/roof.speed)
		line(x(from), y(from*roof.speed), x(to), y(to*roof.speed), `stroke="#888" stroke-dasharray="5 3"`)
		text(x(from)+4, y(from*roof.speed)-4, "start", "#666", fmt.Sprintf("%s %.0f GB/s", roof.label, roof.speed))
	}
	for _, p := range r.points {
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"><title>%s</title></circle>`+"\n",
			x(p.perByte), y(p.at), of(p.set), html.EscapeString(fmt.Sprintf("%s %s: %.1f GMAC/s", p.set, p.label, p.at)))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
