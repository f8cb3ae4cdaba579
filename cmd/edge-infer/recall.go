package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/guptarohit/asciigraph"
	"github.com/spf13/cobra"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/models"
)

type recallFlags struct {
	plot   string
	json   bool
	models []string
}

func newRecallCommand() *cobra.Command {
	f := &recallFlags{}
	cmd := &cobra.Command{
		Use:   "recall",
		Short: "How long the built-in RNN and LSTM remember, as a table and a chart",
		Long: `Asks both built-in models for the end of stories that they have not seen: "Tom is a
cat. ... Tom's favorite food is", with 0 to 60 words of other sentences between, some
of them about other animals. Both have equally many weights and were trained on the
same stories. Prints how often each names the right food, by the number of words
between.`,
		Example: `  edge-infer recall
  edge-infer recall --plot recall.svg
  edge-infer recall --model my.ei8            # another model that predicts words`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.plot, "plot", "", "draw the curves into an SVG `FILE`, too")
	flags.BoolVar(&f.json, "json", false, "one object: models, distances, accuracy of each")
	flags.StringSliceVarP(&f.models, "model", "m", []string{"rnn", "lstm"}, "`MODELS` to ask: embedded ones or files")
	return cmd
}

// curve is how often one model was right, by distance.
type curve struct {
	Model    string    `json:"model"`
	Accuracy []float64 `json:"accuracy"` // of each distance, 0 to 1
	Mean     float64   `json:"mean"`
}

func (f *recallFlags) run(ctx context.Context) error {
	stories, err := models.Stories()
	if err != nil {
		return err
	}
	if len(stories) == 0 {
		return &usageError{"this program was built without its models and stories", "build it without -tags noembed"}
	}
	longest := 0
	for _, s := range stories {
		longest = max(longest, s.Distance)
	}
	var curves []curve
	for _, name := range f.models {
		c, err := ask(ctx, name, stories, longest)
		if err != nil {
			return err
		}
		curves = append(curves, *c)
	}
	if f.plot != "" {
		out, err := createOutput(f.plot)
		if err != nil {
			return err
		}
		defer out.Abort()
		if _, err := out.Write(recallSVG(curves)); err != nil {
			return err
		}
		if err := out.Finish(); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if f.json {
		distances := make([]int, longest+1)
		for i := range distances {
			distances[i] = i
		}
		if err := json.NewEncoder(&b).Encode(struct {
			Distances []int   `json:"distances"`
			Stories   int     `json:"stories"`
			Models    []curve `json:"models"`
		}{distances, len(stories), curves}); err != nil {
			return err
		}
		return printResult(b.Bytes())
	}
	recallTable(&b, curves, len(stories))
	return printResult(b.Bytes())
}

// ask lets one model end every story.
func ask(ctx context.Context, name string, stories []models.Story, longest int) (*curve, error) {
	m, err := openModel(name)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	completer, err := m.NewCompleter(edge.StreamOptions{})
	if err != nil {
		return nil, err
	}
	right, total, all := make([]int, longest+1), make([]int, longest+1), 0
	showing := isTerminal(os.Stderr)
	for i, s := range stories {
		if showing && i%32 == 0 {
			fmt.Fprintf(os.Stderr, "\r%s: %d of %d stories ", name, i, len(stories))
		}
		done, err := completer.Complete(ctx, s.Text, edge.CompleteOptions{})
		if err != nil {
			return nil, err
		}
		total[s.Distance]++
		if done.Words[0].Word == s.Food {
			right[s.Distance]++
			all++
		}
	}
	if showing {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
	c := &curve{Model: name, Mean: float64(all) / float64(len(stories))}
	for d := range right {
		c.Accuracy = append(c.Accuracy, float64(right[d])/float64(max(total[d], 1)))
	}
	return c, nil
}

// recallTable prints a row for each ten distances, and the chart.
func recallTable(b *bytes.Buffer, curves []curve, stories int) {
	fmt.Fprintf(b, "%-13s", "words between")
	for _, c := range curves {
		fmt.Fprintf(b, "%12s", c.Model)
	}
	b.WriteByte('\n')
	const band = 10
	last := len(curves[0].Accuracy) - 1
	for from := 0; from <= last; from += band {
		to := min(from+band-1, last)
		label := fmt.Sprintf("%d to %d", from, to)
		if from == to {
			label = fmt.Sprint(from)
		}
		fmt.Fprintf(b, "%-13s", label)
		for _, c := range curves {
			fmt.Fprintf(b, "%10.1f %%", 100*mean(c.Accuracy[from:to+1]))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "%-13s", "all")
	for _, c := range curves {
		fmt.Fprintf(b, "%10.1f %%", 100*c.Mean)
	}
	fmt.Fprintf(b, "\n\n")
	var series [][]float64
	var names []string
	for _, c := range curves {
		smooth := make([]float64, len(c.Accuracy))
		for d := range smooth { // five distances together: a single one has few stories
			smooth[d] = 100 * mean(c.Accuracy[max(0, d-2):min(len(smooth), d+3)])
		}
		series, names = append(series, smooth), append(names, c.Model)
	}
	b.WriteString(asciigraph.PlotMany(series, asciigraph.Height(12), asciigraph.Width(61), asciigraph.LowerBound(0), asciigraph.UpperBound(100),
		asciigraph.Precision(0), asciigraph.Caption(fmt.Sprintf("right foods in %% by words between, 0 to %d; %d stories; %s (in this order)", last, stories, strings.Join(names, ", ")))))
	b.WriteByte('\n')
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// recallSVG draws the curves, readable on light and dark pages.
func recallSVG(curves []curve) []byte {
	const left, top, width, height = 56, 24, 560, 260
	colors := []string{"#d9480f", "#1971c2", "#2f9e44", "#9c36b5"}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", left+width+70, top+height+52)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	last := len(curves[0].Accuracy) - 1
	x := func(d int) float64 { return left + float64(width)*float64(d)/float64(max(last, 1)) }
	y := func(a float64) float64 { return top + height*(1-a) }
	for p := 0; p <= 100; p += 20 {
		fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#333">%d %%</text>`+"\n", left, y(float64(p)/100), width, left-8, y(float64(p)/100)+4, p)
	}
	for d := 0; d <= last; d += 10 {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#333">%d</text>`+"\n", x(d), top+height+20, d)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" fill="#333">words between the animal and its food</text>`+"\n", left+width/2, top+height+42)
	for i, c := range curves {
		color := colors[i%len(colors)]
		var path strings.Builder
		end := 0.0
		for d := range c.Accuracy {
			end = mean(c.Accuracy[max(0, d-2):min(len(c.Accuracy), d+3)])
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(d, 1)], x(d), y(end))
		}
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%.1f" fill="%s">%s</text>`+"\n", path.String(), color, left+width+8, y(end)+4, color, svgText(c.Model))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func svgText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
