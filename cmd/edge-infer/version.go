package main

import (
	"bytes"
	"embed"
	"fmt"
	goruntime "runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/models"
)

// licences holds the licence of every module that the program is linked with: a module's path with _ for /.
//
//go:embed licences/*.txt
var licences embed.FS

func newVersionCommand() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Version, and the licences of what is inside",
		Long: `Prints the version of the program and the models that are embedded in it. With
--licences also the licences of the libraries it is built from, and of each
embedded model with those who must be named with it.`,
		Example: `  edge-infer version
  edge-infer version --licences | less`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			var b bytes.Buffer
			b.WriteString("edge-infer version " + version() + "\n")
			if err := writeModels(&b, all); err != nil {
				return err
			}
			if all {
				writeLicences(&b)
			}
			return printResult(b.Bytes())
		},
	}
	cmd.Flags().BoolVar(&all, "licences", false, "print the licences of the libraries and of the embedded models")
	return cmd
}

// version is "0.1.0 (linux/arm64, go1.26.8, revision 0123456789ab)".
func version() string {
	parts := []string{goruntime.GOOS + "/" + goruntime.GOARCH, goruntime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		if revision := settings["vcs.revision"]; len(revision) >= 12 {
			if parts = append(parts, "revision "+revision[:12]); settings["vcs.modified"] == "true" {
				parts = append(parts, "modified")
			}
		}
	}
	return fmt.Sprintf("%s (%s)", edge.Version, strings.Join(parts, ", "))
}

// languages is "zh to en", or "en" for a model of one language.
func languages(l modelfile.Languages) string {
	if l.From == "" || l.To == "" {
		return l.From + l.To
	}
	return l.From + " to " + l.To
}

// writeModels names the embedded models, and with their licence all that has to be told of them.
func writeModels(b *bytes.Buffer, licence bool) error {
	for _, name := range models.Names() {
		file, err := openFile(name)
		if err != nil {
			return err
		}
		meta := file.Meta()
		fmt.Fprintf(b, "model %s: %s", name, megabytes(file.Size()))
		if l := languages(meta.Languages); l != "" {
			b.WriteString(", " + l)
		}
		b.WriteByte('\n')
		if licence {
			fmt.Fprintf(b, "  licence: %s\n", orUnknown(meta.Licence))
			fmt.Fprintf(b, "  source: %s\n", orUnknown(meta.Source))
			for _, a := range meta.Attributions {
				fmt.Fprintf(b, "  %s\n", strings.ReplaceAll(a, "\n", "\n  "))
			}
		}
		file.Close()
	}
	if len(models.Names()) == 0 {
		b.WriteString("no embedded model\n")
	}
	return nil
}

func orUnknown(s string) string {
	if s == "" {
		return "not stated"
	}
	return s
}

// writeLicences prints the text of each licence under the name of its module.
func writeLicences(b *bytes.Buffer) {
	b.WriteString("\nedge-infer is under the Apache License 2.0 and built from these libraries:\n")
	files, err := licences.ReadDir("licences")
	for _, f := range files {
		var text []byte
		if text, err = licences.ReadFile("licences/" + f.Name()); err != nil {
			break
		}
		name := strings.ReplaceAll(strings.TrimSuffix(f.Name(), ".txt"), "_", "/")
		if name == "go" {
			name = "The Go standard library and runtime"
		}
		fmt.Fprintf(b, "\n%s\n%s\n\n%s\n", name, strings.Repeat("-", len(name)), bytes.TrimSpace(text))
	}
	if err != nil {
		panic(err) // the files are part of the program
	}
}
