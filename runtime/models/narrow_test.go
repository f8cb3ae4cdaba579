//go:build !noembed

package models_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/models"
)

// A model of which little is in memory at a time gives the same bytes, of every family, from a file and from the program.
func TestNarrowSameBits(t *testing.T) {
	answers := map[string]func(m *edge.Model, threads int) (any, error){
		"zh-en": func(m *edge.Model, threads int) (any, error) {
			tr, err := m.NewTranslator(edge.Options{Threads: threads, Scores: threads == 1, MaxTarget: 12})
			if err != nil {
				return nil, err
			}
			out, err := tr.Translate(context.Background(), []string{"我正在吃饭。他们在看书。"})
			if err != nil {
				return nil, err
			}
			return out[0].Text, nil
		},
		"lstm": func(m *edge.Model, threads int) (any, error) {
			s, err := m.NewStream(edge.StreamOptions{Threads: threads, MaxSteps: 3})
			if err != nil {
				return nil, err
			}
			out := make([]float32, 7*m.RNNConfig().OutputWidth())
			err = s.RunTokens(out, []int32{3, 1, 4, 1, 5, 9, 2}, 7, nil)
			return hashOf(out), err
		},
		"iris": func(m *edge.Model, threads int) (any, error) {
			found := []edge.Neighbor{}
			for _, o := range []edge.KNNOptions{{Threads: threads}, {Threads: threads, RankAll: true}} {
				c, err := m.NewClassifier(o)
				if err != nil {
					return nil, err
				}
				if _, err := c.AddRow(77); err != nil {
					return nil, err
				}
				if err := c.Run(); err != nil {
					return nil, err
				}
				found = append(found, c.Neighbors(0)...)
			}
			return fmt.Sprint(found), nil
		},
	}
	for name, answer := range answers {
		want, err := answer(openModel(t, name), 1)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		image, _ := models.Get(name)
		if err := os.WriteFile(path, []byte(image), 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := edge.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for where, m := range map[string]*edge.Model{"file": file, "program": openModel(t, name)} {
			m.File().Narrow(0)
			for threads := 1; threads <= 2; threads++ {
				if got, err := answer(m, threads); err != nil || got != want {
					t.Errorf("%s from the %s, %d threads: %v, %v; want %v", name, where, threads, got, err, want)
				}
			}
		}
	}
}
