package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

func newInspectCommand() *cobra.Command {
	asJSON, planOnly := false, false
	f := &planFlags{}
	cmd := &cobra.Command{
		Use:   "inspect [FILE]",
		Short: "What is in a model file, and what running it takes",
		Long: `Checks every byte of a model file and shows what it holds: the family of the
network and its config, languages, tokenizers, licence and those who must be named
with it, where it came from, its tensors, and the memory plan: what running it
takes. Without FILE it shows the model inside this program.

--plan shows the memory plan alone: what is mapped is read from the file, shared
between programs, and evicted when memory is short; what is anonymous is never more
than the plan says. It ends in exit code 4 if that does not fit.`,
		Example: `  edge-infer inspect
  edge-infer inspect zh-en.ei8
  edge-infer inspect --plan --max-source 64 --max-target 64 --beam 4 zh-en.ei8
  edge-infer inspect --json zh-en.ei8 | jq .plan`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{fmt.Sprintf("inspect takes one file, but was given %d", len(args)), ""}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			if planOnly {
				m, err := openModel(name)
				if err != nil {
					return err
				}
				defer m.Close()
				p, err := f.plan(m)
				if err != nil {
					return err
				}
				return p.print(asJSON)
			}
			r, err := newInspection(name, f)
			if err != nil {
				return err
			}
			text := r.table()
			if asJSON {
				if text, err = r.json(); err != nil {
					return err
				}
			}
			return printResult(text)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&planOnly, "plan", false, "show the memory plan alone")
	f.add(cmd.Flags())
	return cmd
}

// inspection is what the command prints. Sizes are in bytes.
type inspection struct {
	File       string           `json:"file"`
	Size       int64            `json:"size"`
	Meta       *modelfile.Meta  `json:"meta"`
	Parameters int64            `json:"parameters"`
	Sections   []sectionFacts   `json:"sections"`
	Tokenizers []tokenizerFacts `json:"tokenizers,omitempty"`
	Decoder    string           `json:"decoder,omitempty"` // how it learns of what it has said, if not by self-attention

	Shortlist *edge.ShortlistInfo `json:"shortlist,omitempty"`

	Tensors []tensorFacts `json:"tensors"`
	Plan    *planFacts    `json:"plan,omitempty"` // for a model that this version can run
}

type sectionFacts struct {
	Kind   string `json:"kind"`
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
}

type tokenizerFacts struct {
	Of    string `json:"of"`
	Kind  string `json:"kind"`
	Size  int    `json:"size"`
	Bytes int    `json:"bytes"`
}

type tensorFacts struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Layout string `json:"layout"`
	Shape  []int  `json:"shape"`
	Bytes  int64  `json:"bytes"` // as they lie in the file, with padding, scales and sums
}

func newInspection(name string, f *planFlags) (*inspection, error) {
	file, err := openFile(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := &inspection{File: file.Path(), Size: file.Size()}
	err = modelfile.Guard(file.Path(), func() error {
		r.Meta = file.Meta()
		for _, s := range file.Sections() {
			r.Sections = append(r.Sections, sectionFacts{s.Kind.String(), s.Offset, s.Size})
		}
		for _, t := range file.Tensors() {
			r.Tensors = append(r.Tensors, tensorFacts{
				strings.Clone(t.Name), t.DType.String(), t.Layout.String(), t.Shape,
				int64(len(t.Data)) + 4*int64(len(t.Scale)+len(t.Sum)),
			})
			r.Parameters += int64(t.Rows()) * int64(t.Cols())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := r.addPlan(name, file, f); err != nil {
		return nil, err
	}
	return r, nil
}

// addPlan opens the model as the runtime does. A family that this version cannot run has no Plan; its facts
// stand without one.
func (r *inspection) addPlan(name string, file *modelfile.File, f *planFlags) error {
	switch file.Meta().Family {
	case edge.FamilyTransformer, edge.FamilyRNN, edge.FamilyKNN:
	default:
		return nil
	}
	m, err := openModel(name)
	if err != nil {
		return err
	}
	defer m.Close()
	if r.Plan, err = f.plan(m); err != nil || m.Family() != edge.FamilyTransformer {
		return err
	}
	r.Decoder, r.Shortlist = m.Config().DecoderMixer, m.Shortlist()
	source, target := file.Section(modelfile.SectionTokenizerSource), file.Section(modelfile.SectionTokenizerTarget)
	of := "source"
	if target == nil {
		of = "both languages"
	}
	r.Tokenizers = append(r.Tokenizers, tokenizerFacts{of, m.Source().Kind(), m.Source().Size(), len(source)})
	if target != nil {
		r.Tokenizers = append(r.Tokenizers, tokenizerFacts{"target", m.Target().Kind(), m.Target().Size(), len(target)})
	}
	return nil
}

func (r *inspection) json() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}

func (r *inspection) table() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, strings.ReplaceAll(value, "\n", "\n\t"))
		}
	}
	field("file", r.File)
	field("name", r.Meta.Name)
	field("description", r.Meta.Description)
	field("family", r.Meta.Family)
	if l := r.Meta.Languages; l.From+l.To != "" {
		field("languages", languages(l))
	}
	field("licence", r.Meta.Licence)
	for _, a := range r.Meta.Attributions {
		field("attribution", a)
	}
	field("source", r.Meta.Source)
	field("written by", r.Meta.Tool)
	field("size", fmt.Sprintf("%s, %d tensors, %s parameters", megabytes(r.Size), len(r.Tensors), millions(r.Parameters)))
	for _, t := range r.Tokenizers {
		field("tokenizer", fmt.Sprintf("of %s: %s, %d tokens, %s", t.Of, t.Kind, t.Size, megabytes(int64(t.Bytes))))
	}
	if r.Decoder == edge.MixerSSRU {
		field("decoder", "a recurrent state (ssru) instead of self-attention")
	}
	if l := r.Shortlist; l != nil {
		field("shortlist", fmt.Sprintf("%d words always, up to %d of each source word, %d in all", l.First, l.Longest, l.Words))
	}
	w.Flush()

	if len(r.Meta.Config) > 0 {
		b.WriteString("\nconfig ")
		if json.Indent(&b, r.Meta.Config, "", "  ") != nil {
			b.Write(r.Meta.Config)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nsections\n")
	for _, s := range r.Sections {
		fmt.Fprintf(w, "  %s\tat %d\t%d bytes\n", s.Kind, s.Offset, s.Size)
	}
	w.Flush()
	b.WriteString("\ntensors\n")
	for _, t := range r.Tensors {
		shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Shape), " ", " x "), "[]")
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%d bytes\n", t.Name, t.Type, t.Layout, shape, t.Bytes)
	}
	w.Flush()
	if r.Plan != nil {
		fmt.Fprintf(&b, "\nmemory %s\n", r.Plan.For)
		r.Plan.table(&b)
	}
	return b.Bytes()
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/(1<<20)) }

func millions(n int64) string { return fmt.Sprintf("%.2f million", float64(n)/1e6) }
