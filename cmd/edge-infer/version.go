package main

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	goruntime "runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/models"
)

// licences is the licence of every module that the program is linked with, under the module's path: the texts in licences/ as
// gzip makes them, since they are long, alike and seldom read. TestLicences compares, and with -update packs them again.
//
//go:embed licences.gz
var licences string

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
				b.WriteString("\nedge-infer is under the Apache License 2.0 and built from these libraries:\n")
				text, err := unpackLicences()
				if err != nil {
					return err
				}
				b.Write(text)
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

func unpackLicences() ([]byte, error) {
	r, err := gzip.NewReader(strings.NewReader(licences))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
