package convert

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func wantEmpty(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was left behind", e.Name())
	}
}

// edit changes keys of a JSON object; nil removes one.
func edit(name string, changes map[string]any) func(t *testing.T, folder string) {
	return func(t *testing.T, folder string) {
		t.Helper()
		path := filepath.Join(folder, name)
		var object map[string]any
		if err := readJSON(path, &object); err != nil {
			t.Fatal(err)
		}
		for k, v := range changes {
			if object[k] = v; v == nil {
				delete(object, k)
			}
		}
		writeFile(t, path, mustJSON(t, object))
	}
}

func remove(names ...string) func(t *testing.T, folder string) {
	return func(t *testing.T, folder string) {
		t.Helper()
		for _, name := range names {
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// editSafetensors gives the header of model.safetensors to f, and lets it change the data.
func editSafetensors(f func(header map[string]json.RawMessage, data []byte)) func(t *testing.T, folder string) {
	return func(t *testing.T, folder string) {
		t.Helper()
		path := filepath.Join(folder, "model.safetensors")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n := binary.LittleEndian.Uint64(raw)
		header := map[string]json.RawMessage{}
		if err := json.Unmarshal(raw[8:8+n], &header); err != nil {
			t.Fatal(err)
		}
		data := raw[8+n:]
		f(header, data)
		text := mustJSON(t, header)
		out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
		writeFile(t, path, string(out)+text+string(data))
	}
}

// rename gives a tensor another name: one is missing, and one is not known.
func rename(old, new string) func(t *testing.T, folder string) {
	return editSafetensors(func(header map[string]json.RawMessage, _ []byte) {
		header[new] = header[old]
		delete(header, old)
	})
}

func poison(name string, element int, bits uint32) func(t *testing.T, folder string) {
	return editSafetensors(func(header map[string]json.RawMessage, data []byte) {
		var entry struct {
			Offsets [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(header[name], &entry); err != nil {
			panic(err)
		}
		binary.LittleEndian.PutUint32(data[entry.Offsets[0]+4*element:], bits)
	})
}

// TestBadInput: every error says what is wrong and where, and nothing is left behind.
func TestBadInput(t *testing.T) {
	const q = "model.encoder.layers.1.self_attn.q_proj.weight"
	for _, c := range []struct {
		name   string
		from   string
		change func(t *testing.T, folder string)
		want   []string
	}{
		{"empty folder", "", func(*testing.T, string) {}, []string{"neither model.bin", "config.json", "source.spm"}},
		{"no weights", marianFolder, remove("model.safetensors"), []string{"model.safetensors", "pytorch_model.bin", "is there"}},
		{"other weights", marianFolder, func(t *testing.T, folder string) {
			remove("model.safetensors")(t, folder)
			writeFile(t, filepath.Join(folder, "tf_model.h5"), "x")
		}, []string{"tf_model.h5 is not read"}},
		{"shards without an index", marianFolder, func(t *testing.T, folder string) {
			remove("model.safetensors")(t, folder)
			writeFile(t, filepath.Join(folder, "pytorch_model-00001-of-00002.bin"), "x")
		}, []string{"pytorch_model.bin.index.json", "is missing", "which weights are in which shard"}},
		{"an index without its shards", marianFolder, func(t *testing.T, folder string) {
			remove("model.safetensors")(t, folder)
			writeFile(t, filepath.Join(folder, "model.safetensors.index.json"), `{"weight_map": {"a": "model-00001-of-00002.safetensors"}}`)
		}, []string{"model-00001-of-00002.safetensors", "is missing", "model.safetensors.index.json lists it"}},
		{"no config", marianFolder, remove("config.json"), []string{"model.safetensors", "weights without a config.json"}},
		{"no source.spm", marianFolder, remove("source.spm"), []string{"source.spm", "is missing", "cuts text into"}},
		{"no target.spm", marianFolder, remove("target.spm"), []string{"target.spm", "is missing"}},
		{"no vocab.json", marianFolder, remove("vocab.json"), []string{"vocab.json", "is missing", "ids"}},
		{"no target vocabulary", separateFolder, remove("target_vocab.json"), []string{"target_vocab.json", "is missing"}},
		{"broken config", marianFolder, func(t *testing.T, folder string) {
			writeFile(t, filepath.Join(folder, "config.json"), "{")
		}, []string{"config.json", "JSON"}},
		{"bert", marianFolder, edit("config.json", map[string]any{"model_type": "bert"}), []string{`"bert"`, "not read yet", "marian"}},
		{"gpt2", marianFolder, edit("config.json", map[string]any{"model_type": "gpt2"}), []string{`"gpt2"`, "not read yet"}},
		{"no model_type", marianFolder, edit("config.json", map[string]any{"model_type": nil}), []string{"no model_type"}},
		{"no d_model", marianFolder, edit("config.json", map[string]any{"d_model": nil}), []string{"d_model is 0"}},
		{"negative layers", marianFolder, edit("config.json", map[string]any{"encoder_layers": -1}), []string{"encoder_layers is -1"}},
		{"huge layers", marianFolder, edit("config.json", map[string]any{"encoder_layers": 1 << 23}), []string{"8388608 encoder"}},
		{"too few layers", marianFolder, edit("config.json", map[string]any{"encoder_layers": 1}), []string{"encoder.layers.1.", "has no place"}},
		{"too many layers", marianFolder, edit("config.json", map[string]any{"decoder_layers": 3}), []string{"model.decoder.layers.2.self_attn.q_proj.weight", "is missing"}},
		{"dimensions", marianFolder, edit("config.json", map[string]any{"d_model": 40}), []string{"40 dimensions", "multiple of 16"}},
		{"positions", marianFolder, edit("config.json", map[string]any{"max_position_embeddings": 1 << 24}), []string{"16777216 positions"}},
		{"heads", marianFolder, edit("config.json", map[string]any{"encoder_attention_heads": 5, "decoder_attention_heads": 5}), []string{"5 heads"}},
		{"different heads", marianFolder, edit("config.json", map[string]any{"encoder_attention_heads": 8}), []string{"differ", "8 and 4 heads"}},
		{"activation", marianFolder, edit("config.json", map[string]any{"activation_function": "mish"}), []string{`"mish"`, "relu"}},
		{"no end", marianFolder, edit("config.json", map[string]any{"eos_token_id": nil}), []string{"eos_token_id"}},
		{"start", marianFolder, edit("config.json", map[string]any{"decoder_start_token_id": 60}), []string{"decoder_start_token_id 60"}},
		{"ffn", marianFolder, edit("config.json", map[string]any{"encoder_ffn_dim": 96, "decoder_ffn_dim": 96}),
			[]string{"model.encoder.layers.0.fc1.weight", "[80 32]", "[96 32]"}},
		{"vocabulary size", marianFolder, edit("config.json", map[string]any{"vocab_size": 61, "pad_token_id": 60, "decoder_start_token_id": 60}),
			[]string{"model.shared.weight", "[60 32]", "[61 32]"}},
		{"vocabulary", marianFolder, edit("vocab.json", map[string]any{"new": 60}), []string{"vocab.json", "61 tokens", "60 rows"}},
		{"vocabulary id", marianFolder, edit("vocab.json", map[string]any{"</s>": 77}), []string{"vocab.json", "77"}},
		{"pre-norm without norms", marianFolder, edit("config.json", map[string]any{"normalize_before": true}), []string{"model.encoder.layer_norm.weight", "is missing"}},
		{"post-norm with norms", separateFolder, edit("config.json", map[string]any{"normalize_before": false}), []string{"layer_norm", "has no place"}},
		{"missing tensor", marianFolder, rename(q, "x"), []string{q, "is missing"}},
		{"unknown tensor", marianFolder, rename("final_logits_bias", "model.extra"), []string{"model.extra", "has no place"}},
		{"NaN", marianFolder, poison(q, 5*32+3, 0x7fc00000), []string{q, "row 5, column 3 is NaN"}},
		{"infinity in a table", separateFolder, poison("model.encoder.embed_tokens.weight", 2*32, math.Float32bits(float32(math.Inf(1)))),
			[]string{"model.encoder.embed_tokens.weight", "row 2, column 0 is +Inf"}},
		{"NaN in a bias", marianFolder, poison("model.encoder.layers.1.fc1.bias", 7, 0x7fc00000), []string{"model.safetensors", "model.encoder.layers.1.fc1.bias", "column 7 is NaN"}},
		{"not an spm", marianFolder, func(t *testing.T, folder string) {
			writeFile(t, filepath.Join(folder, "source.spm"), "not a model")
		}, []string{"source.spm"}},
		{"npz", "", func(t *testing.T, folder string) { writeFile(t, filepath.Join(folder, "model.npz"), "x") }, []string{"native Marian", "model.npz"}},
		{"CTranslate2 cut short", ct2Folder, func(t *testing.T, folder string) {
			if err := os.Truncate(filepath.Join(folder, "model.bin"), 100000); err != nil {
				t.Fatal(err)
			}
		}, []string{"model.bin"}},
		{"CTranslate2 vocabulary", ct2Folder, func(t *testing.T, folder string) {
			writeFile(t, filepath.Join(folder, "shared_vocabulary.json"), `["</s>", "<unk>", "a"]`)
		}, []string{"shared_vocabulary.json", "3 tokens", "59 rows"}},
		{"CTranslate2 without vocabulary", ct2Folder, remove("shared_vocabulary.json"), []string{"shared_vocabulary"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder, out := filepath.Join(t.TempDir(), "in"), t.TempDir()
			if c.from == "" {
				if err := os.Mkdir(folder, 0o755); err != nil {
					t.Fatal(err)
				}
			} else {
				copyFolder(t, c.from, folder)
			}
			c.change(t, folder)
			_, err := Convert(context.Background(), folder, filepath.Join(out, "m.ei8"), Options{})
			if err == nil {
				t.Fatal("converted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
			wantEmpty(t, out)
			t.Log(err)
		})
	}
}

// TestBadOutput: what cannot be written is found out before any work.
func TestBadOutput(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	writeFile(t, file, "x")
	locked := filepath.Join(folder, "locked")
	if err := os.Mkdir(locked, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, dst, want string }{
		{"a folder", folder, "is a folder"},
		{"in a file", filepath.Join(file, "m.ei8"), "not a directory"},
		{"in nothing", filepath.Join(folder, "none", "m.ei8"), "no such file"},
		{"read-only folder", filepath.Join(locked, "m.ei8"), "permission denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.dst == filepath.Join(locked, "m.ei8") && os.Geteuid() == 0 {
				t.Skip("root may write everywhere")
			}
			_, err := Convert(context.Background(), marianFolder, c.dst, Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) && os.PathSeparator == '/' {
				t.Errorf("error %v, want %q", err, c.want)
			}
			t.Log(err)
		})
	}
}

// TestFiles: a file of weights stands for its folder; other files are named for what they are.
func TestFiles(t *testing.T) {
	for _, path := range []string{marianFolder + "/model.safetensors", marianFolder + "/config.json", binFolder + "/pytorch_model.bin", ct2Folder + "/model.bin"} {
		if _, err := Convert(context.Background(), path, filepath.Join(t.TempDir(), "m.ei8"), Options{}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	folder := t.TempDir()
	for _, c := range []struct{ name, content, want string }{
		{"a.zip", "PK\x03\x04....", "zip archive"}, {"a.gguf", "GGUF....", "GGUF"}, {"a.gz", "\x1f\x8b......", "gzip"},
		{"a.ei8", "x", "already"}, {"b", "\x89EI8\r\n\x1a\n", "already"}, {"a.txt", "", "not a file that this version reads"},
	} {
		path := filepath.Join(folder, c.name)
		writeFile(t, path, c.content)
		_, err := Convert(context.Background(), path, filepath.Join(t.TempDir(), "m.ei8"), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Convert(context.Background(), filepath.Join(folder, "none"), filepath.Join(folder, "m.ei8"), Options{}); !os.IsNotExist(err) {
		t.Errorf("missing source: %v", err)
	}
}
