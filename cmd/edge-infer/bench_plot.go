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

func writePlot(path string, r interface{ svg() []byte }) error {
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

// svg draws the roofs and the points.
func (r *roofline) svg() []byte {
	g := newLogGrid(-1, 8)
	for _, p := range r.points {
		g.include(p.perByte, p.at)
	}
	for _, roof := range r.roofs {
		g.includeUp(roof.speed)
	}
	g.open("multiply-adds a byte of weights", "GMAC/s")
	for _, roof := range r.roofs {
		y := g.y(roof.speed)
		if roof.flat {
			g.line(gridLeft, y, gridLeft+gridWidth, y, fmt.Sprintf(`stroke="%s" stroke-width="1.5"`, g.colour(roof.label)))
			g.text(gridLeft+gridWidth+6, y+4, "start", g.colour(roof.label), fmt.Sprintf("%s %.0f", roof.label, roof.speed))
			continue
		}
		// From the left edge, or the bottom, up to the right edge, or the top.
		from := max(math.Exp2(g.x0), math.Exp2(g.y0)/roof.speed)
		to := min(math.Exp2(g.x1), math.Exp2(g.y1)/roof.speed)
		g.line(g.x(from), g.y(from*roof.speed), g.x(to), g.y(to*roof.speed), `stroke="#888" stroke-dasharray="5 3"`)
		g.text(g.x(from)+4, g.y(from*roof.speed)-4, "start", "#666", fmt.Sprintf("%s %.0f GB/s", roof.label, roof.speed))
	}
	for _, p := range r.points {
		g.circle(p.perByte, p.at, p.set, fmt.Sprintf("%s %s: %.1f GMAC/s", p.set, p.label, p.at))
	}
	return g.close()
}

// curves is a plot of lines over one axis.
type curves struct {
	title, across, up string
	lines             []curveLine
}

type curveLine struct {
	name   string
	points []curvePoint
}

type curvePoint struct{ x, y float64 } // both above 0

func (c *curves) svg() []byte {
	g := newLogGrid(0, 1)
	for _, l := range c.lines {
		for _, p := range l.points {
			g.include(p.x, p.y)
		}
	}
	g.open(c.across, c.up)
	g.text(gridLeft+gridWidth/2, gridTop-10, "middle", "#333", c.title)
	for _, l := range c.lines {
		colour := g.colour(l.name)
		for i, p := range l.points {
			if i > 0 {
				g.line(g.x(l.points[i-1].x), g.y(l.points[i-1].y), g.x(p.x), g.y(p.y), fmt.Sprintf(`stroke="%s" stroke-width="1.5"`, colour))
			}
			g.circle(p.x, p.y, l.name, fmt.Sprintf("%s, %g: %.4g %s", l.name, p.x, p.y, c.up))
		}
		if n := len(l.points); n > 0 {
			g.text(g.x(l.points[n-1].x)+8, g.y(l.points[n-1].y)+4, "start", colour, l.name)
		}
	}
	return g.close()
}

// logGrid is a drawing with both axes in powers of two: include what it must show, open it, draw, close it.
type logGrid struct {
	x0, x1, y0, y1 float64 // logarithms
	b              bytes.Buffer
	colours        map[string]string
}

const gridWidth, gridHeight, gridLeft, gridTop = 760, 480, 70, 30

func newLogGrid(x0, x1 float64) *logGrid {
	return &logGrid{x0: x0, x1: x1, y0: math.Inf(1), y1: math.Inf(-1), colours: map[string]string{}}
}

func (g *logGrid) include(x, y float64) {
	g.x0, g.x1 = min(g.x0, math.Floor(math.Log2(x))), max(g.x1, math.Ceil(math.Log2(x)))
	g.includeUp(y)
}

func (g *logGrid) includeUp(y float64) {
	g.y0, g.y1 = min(g.y0, math.Floor(math.Log2(y))), max(g.y1, math.Ceil(math.Log2(y)))
}

func (g *logGrid) x(v float64) float64 { return gridLeft + (math.Log2(v)-g.x0)/(g.x1-g.x0)*gridWidth }
func (g *logGrid) y(v float64) float64 { return gridTop + (g.y1-math.Log2(v))/(g.y1-g.y0)*gridHeight }

// open draws the grid and what its axes are.
func (g *logGrid) open(across, up string) {
	if !(g.y0 < g.y1) {
		g.y0, g.y1 = 0, 1
	}
	fmt.Fprintf(&g.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", gridWidth+gridLeft+160, gridHeight+gridTop+60)
	fmt.Fprintf(&g.b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	for e := g.x0; e <= g.x1; e++ {
		x := g.x(math.Exp2(e))
		g.line(x, gridTop, x, gridTop+gridHeight, `stroke="#ddd"`)
		g.text(x, gridTop+gridHeight+16, "middle", "#333", fmt.Sprint(math.Exp2(e)))
	}
	for e := g.y0; e <= g.y1; e++ {
		y := g.y(math.Exp2(e))
		g.line(gridLeft, y, gridLeft+gridWidth, y, `stroke="#ddd"`)
		g.text(gridLeft-6, y+4, "end", "#333", fmt.Sprint(math.Exp2(e)))
	}
	g.text(gridLeft+gridWidth/2, gridTop+gridHeight+40, "middle", "#333", across)
	g.text(gridLeft, gridTop-10, "middle", "#333", up)
}

func (g *logGrid) close() []byte {
	g.b.WriteString("</svg>\n")
	return g.b.Bytes()
}

func (g *logGrid) text(x, y float64, anchor, fill, s string) {
	fmt.Fprintf(&g.b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, fill, html.EscapeString(s))
}

func (g *logGrid) line(xa, ya, xb, yb float64, style string) {
	fmt.Fprintf(&g.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", xa, ya, xb, yb, style)
}

// circle is a point with words that appear under the pointer.
func (g *logGrid) circle(x, y float64, of, words string) {
	fmt.Fprintf(&g.b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"><title>%s</title></circle>`+"\n", g.x(x), g.y(y), g.colour(of), html.EscapeString(words))
}

// colour is the same for the same name, and another for the next.
func (g *logGrid) colour(name string) string {
	colours := []string{"#1b6ca8", "#c0392b", "#27824a", "#8e44ad", "#b9770e", "#34495e"}
	if g.colours[name] == "" {
		g.colours[name] = colours[len(g.colours)%len(colours)]
	}
	return g.colours[name]
}
