package convert

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"

	edge "github.com/edge-infer/edge-infer/runtime"
)

// TestMemory: a table of 40 MB passes through a few hundred kilobytes. The weights are a hole in the file: all zeros.
func TestMemory(t *testing.T) {
	const vocab, dim, ffn = 20001, 512, 1024
	folder := t.TempDir()
	header, end := map[string]any{}, 0
	add := func(name string, shape ...int) {
		n := 4
		for _, d := range shape {
			n *= d
		}
		header[name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{end, end + n}}
		end += n
	}
	add("model.shared.weight", vocab, dim)
	for _, stack := range []string{"encoder", "decoder"} {
		linear := func(name string, rows, cols int) { add(name+".weight", rows, cols); add(name+".bias", rows) }
		norm := func(name string) { add(name+".weight", dim); add(name+".bias", dim) }
		layer := "model." + stack + ".layers.0."
		blocks := []string{"self_attn"}
		if stack == "decoder" {
			blocks = append(blocks, "encoder_attn")
		}
		for _, block := range blocks {
			for _, p := range []string{"q", "k", "v", "out"} {
				linear(layer+block+"."+p+"_proj", dim, dim)
			}
			norm(layer + block + "_layer_norm")
		}
		linear(layer+"fc1", ffn, dim)
		linear(layer+"fc2", dim, ffn)
		norm(layer + "final_layer_norm")
	}
	text := mustJSON(t, header)
	path := filepath.Join(folder, "model.safetensors")
	writeFile(t, path, string(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))+text)
	if err := os.Truncate(path, int64(8+len(text)+end)); err != nil {
		t.Fatal(err)
	}
	tokens := map[string]int32{"</s>": 0, "<unk>": 1}
	for i := int32(2); i < vocab; i++ {
		tokens[fmt.Sprintf("t%d", i)] = i
	}
	writeFile(t, filepath.Join(folder, "vocab.json"), mustJSON(t, tokens))
	for _, name := range []string{"source.spm", "target.spm"} {
		raw, err := os.ReadFile(filepath.Join(marianFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(folder, name), string(raw))
	}
	raw, err := os.ReadFile(filepath.Join(marianFolder, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]any{"vocab_size": vocab, "d_model": dim, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": ffn,
		"decoder_ffn_dim": ffn, "pad_token_id": vocab - 1, "decoder_start_token_id": vocab - 1} {
		config[k] = v
	}
	writeFile(t, filepath.Join(folder, "config.json"), mustJSON(t, config))

	// What lives while tensors stream by: collected before looking, every 64 groups of rows.
	var first, most uint64
	calls := 0
	look := func(string, int64, int64) {
		if calls++; calls%64 != 1 {
			return
		}
		goruntime.GC()
		var m goruntime.MemStats
		goruntime.ReadMemStats(&m)
		if first == 0 {
			first = m.HeapAlloc
		}
		most = max(most, m.HeapAlloc)
	}
	if _, err := Convert(context.Background(), folder, filepath.Join(t.TempDir(), "m.ei8"), Options{Progress: look}); err != nil {
		t.Fatal(err)
	}
	if most > first+1<<20 {
		t.Errorf("the heap grew by %d bytes during the conversion", most-first)
	}
	t.Logf("%d bytes of weights, heap grew by %d", end, most-first)
}

// TestRuntimeOpens: the runtime finds every tensor that it wants, and none that it does not know.
func TestRuntimeOpens(t *testing.T) {
	for _, folder := range []string{marianFolder, binFolder, halfFolder, separateFolder, ct2Folder, int8Folder, "testdata/aren-transliteration"} {
		dst := filepath.Join(t.TempDir(), "m.ei8")
		if _, err := Convert(context.Background(), folder, dst, Options{}); err != nil {
			t.Fatal(err)
		}
		m, err := edge.Open(dst)
		if err != nil {
			t.Errorf("%s: %v", folder, err)
			continue
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
