// Command float32 translates with the slow float32 reference, greedily: what int8 costs is measured against it.
//
//	go run ./convert/recipe/zh-en/float32 FOLDER < pieces > pieces
//
// FOLDER is what export.py wrote. A line is one sentence's pieces with spaces between them, without the end.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/edge-infer/edge-infer/convert"
	"github.com/edge-infer/edge-infer/convert/reference"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: float32 FOLDER < pieces > pieces")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "float32:", err)
		os.Exit(1)
	}
}

func run(folder string) error {
	config, tensors, err := convert.OpenFloats(folder)
	if err != nil {
		return err
	}
	model, err := reference.New(config, tensors)
	if err != nil {
		return err
	}
	source, _, err := vocabulary(filepath.Join(folder, "vocab.json"))
	if err != nil {
		return err
	}
	_, target, err := vocabulary(filepath.Join(folder, "target_vocab.json"))
	if err != nil {
		return err
	}
	const end = "</s>"
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var ids []int32
		for _, piece := range append(strings.Fields(in.Text()), end) {
			id, ok := source[piece]
			if !ok {
				id = source["<unk>"]
			}
			ids = append(ids, id)
		}
		// The limit of model.py's greedy.
		best, err := model.Greedy(ids, reference.SearchOptions{MaxLength: min(2*len(ids)+20, model.Config.MaxLen-1)})
		if err != nil {
			return err
		}
		for i, id := range best.IDs {
			if target[id] == end {
				break
			}
			if i > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(target[id])
		}
		out.WriteByte('\n')
	}
	return in.Err()
}

// vocabulary reads {piece: id}, both ways.
func vocabulary(path string) (ids map[string]int32, pieces map[int32]string, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	pieces = make(map[int32]string, len(ids))
	for piece, id := range ids {
		pieces[id] = piece
	}
	return ids, pieces, nil
}
