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
		if err := readJSON(path, maxConfig, &object); err != nil {
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

// put writes content into a file of the folder.
func put(name, content string) func(t *testing.T, folder string) {
	return func(t *testing.T, folder string) {
		t.Helper()
		writeFile(t, filepath.Join(folder, filepath.FromSlash(name)), content)
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
		want   string // FOLDER stands for the model's
	}{
		{"a huge config", marianFolder, func(t *testing.T, folder string) {
			writeFile(t, filepath.Join(folder, "config.json"), `{"bad_words_ids": [`+strings.Repeat("[],", 100000)+"[]]}")
		}, "FOLDER/config.json: is 300023 bytes long; no such file is; it is damaged, or not what its name says"},
		{"empty folder", "", func(*testing.T, string) {}, "FOLDER: holds no model that this version reads: neither model.bin (CTranslate2) nor config.json (Hugging Face) is there; give the folder of a CTranslate2 model (model.bin with its vocabularies), of a Hugging Face Marian model (config.json, model.safetensors or pytorch_model.bin, source.spm, target.spm, vocab.json) or of a Firefox model (model.*.intgemm.alphas.bin, vocab.*.spm), an .argosmodel, or one of the files that edge-infer help convert lists"},
		{"no weights", marianFolder, remove("model.safetensors"), "FOLDER: has no weights: neither model.safetensors nor pytorch_model.bin is there; download model.safetensors or pytorch_model.bin as well"},
		{"other weights", marianFolder, func(t *testing.T, folder string) {
			remove("model.safetensors")(t, folder)
			writeFile(t, filepath.Join(folder, "tf_model.h5"), "x")
		}, "FOLDER: has no weights: neither model.safetensors nor pytorch_model.bin is there, and tf_model.h5 is not read; download model.safetensors or pytorch_model.bin as well"},
		{"shards without an index", marianFolder, func(t *testing.T, folder string) {
			remove("model.safetensors")(t, folder)
			writeFile(t, filepath.Join(folder, "pytorch_model-00001-of-00002.bin"), "x")
		}, "FOLDER/pytorch_model.bin.index.json: is missing; it says which weights are in which shard; download it as well"},
		{"an index without its shards", marianFolder, func(t *testing.T, folder string) {
			remove("model.safetensors")(t, folder)
			writeFile(t, filepath.Join(folder, "model.safetensors.index.json"), `{"weight_map": {"a": "model-00001-of-00002.safetensors"}}`)
		}, "FOLDER/model-00001-of-00002.safetensors: is missing, but model.safetensors.index.json lists it: open FOLDER/model-00001-of-00002.safetensors: no such file or directory; download all shards"},
		{"no config", marianFolder, remove("config.json"), "FOLDER/model.safetensors: is weights without a config.json beside them, which says how many layers and heads they make; copy it there; if it holds an RNN, LSTM or GRU, name the file itself"},
		{"no source.spm", marianFolder, remove("source.spm"), "FOLDER/source.spm: is missing; it cuts text into the pieces that the vocabulary numbers; download it as well"},
		{"no target.spm", marianFolder, remove("target.spm"), "FOLDER/target.spm: is missing; it cuts text into the pieces that the vocabulary numbers; download it as well"},
		{"no vocab.json", marianFolder, remove("vocab.json"), "FOLDER/vocab.json: is missing; it gives the tokens their ids; download it as well"},
		{"no target vocabulary", separateFolder, remove("target_vocab.json"), "FOLDER/target_vocab.json: is missing; it gives the tokens their ids; download it as well"},
		{"broken config", marianFolder, func(t *testing.T, folder string) {
			writeFile(t, filepath.Join(folder, "config.json"), "{")
		}, "FOLDER/config.json: byte 1: the JSON ends early; download or write it again"},
		{"bert", marianFolder, edit("config.json", map[string]any{"model_type": "bert"}), `FOLDER/config.json: says model_type "bert", which is not read yet; this version reads "marian"`},
		{"gpt2", marianFolder, edit("config.json", map[string]any{"model_type": "gpt2"}), `FOLDER/config.json: says model_type "gpt2", which is not read yet; this version reads "marian"`},
		{"no model_type", marianFolder, edit("config.json", map[string]any{"model_type": nil}), "FOLDER/config.json: has no model_type; give the folder of a CTranslate2 model (model.bin with its vocabularies), of a Hugging Face Marian model (config.json, model.safetensors or pytorch_model.bin, source.spm, target.spm, vocab.json) or of a Firefox model (model.*.intgemm.alphas.bin, vocab.*.spm), an .argosmodel, or one of the files that edge-infer help convert lists"},
		{"no d_model", marianFolder, edit("config.json", map[string]any{"d_model": nil}), "FOLDER/config.json: d_model is 0; the file must give this number, above 0"},
		{"negative layers", marianFolder, edit("config.json", map[string]any{"encoder_layers": -1}), "FOLDER/config.json: encoder_layers is -1; the file must give this number, above 0"},
		{"huge layers", marianFolder, edit("config.json", map[string]any{"encoder_layers": 1 << 23}), "FOLDER/config.json: 8388608 encoder and 2 decoder layers, more than 1000; the configuration is damaged, or another model's; download it again"},
		{"too few layers", marianFolder, edit("config.json", map[string]any{"encoder_layers": 1}), `FOLDER/model.safetensors: tensor "model.encoder.layers.1.fc1.bias": of shape [80] has no place in the models that this version runs; the architecture differs; please report which model it is`},
		{"too many layers", marianFolder, edit("config.json", map[string]any{"decoder_layers": 3}), `FOLDER/model.safetensors: tensor "model.decoder.layers.2.self_attn.q_proj.weight": is missing; the file is incomplete, or config.json belongs to another model`},
		{"dimensions", marianFolder, edit("config.json", map[string]any{"d_model": 40}), "FOLDER/config.json: the model has 40 dimensions, which is no multiple of 16; this version cannot run it"},
		{"positions", marianFolder, edit("config.json", map[string]any{"max_position_embeddings": 1 << 24}), "FOLDER/config.json: 16777216 positions are out of range; this version takes up to 262144 of this size"},
		{"heads", marianFolder, edit("config.json", map[string]any{"encoder_attention_heads": 5, "decoder_attention_heads": 5}), "FOLDER/config.json: 5 heads do not divide 32 dimensions; the configuration is damaged, or another model's; download it again"},
		{"different heads", marianFolder, edit("config.json", map[string]any{"encoder_attention_heads": 8}), "FOLDER/config.json: encoder and decoder differ: 8 and 4 heads, ffn 80 and 80; this version runs models where they agree"},
		{"activation", marianFolder, edit("config.json", map[string]any{"activation_function": "mish"}), `FOLDER/config.json: activation_function "mish" is not known; this version knows relu, gelu, gelu_new, quick_gelu, swish`},
		{"no end", marianFolder, edit("config.json", map[string]any{"eos_token_id": nil}), "FOLDER/config.json: eos_token_id 0 is not in the vocabulary; it must name the token that ends a sentence (what generation_config.json says counts before config.json)"},
		{"start", marianFolder, edit("config.json", map[string]any{"decoder_start_token_id": 60}), "FOLDER/config.json: decoder_start_token_id 60 is not in the vocabulary; it must name the decoder's first token (what generation_config.json says counts before config.json)"},
		{"ffn", marianFolder, edit("config.json", map[string]any{"encoder_ffn_dim": 96, "decoder_ffn_dim": 96}), `FOLDER/model.safetensors: tensor "model.encoder.layers.0.fc1.weight": has shape [80 32], must be [96 32]; the configuration and the weights belong to different models`},
		{"vocabulary size", marianFolder, edit("config.json", map[string]any{"vocab_size": 61, "pad_token_id": 60, "decoder_start_token_id": 60}), `FOLDER/model.safetensors: tensor "model.shared.weight": has shape [60 32], must be [61 32]; config.json and the weights belong to different models`},
		{"vocabulary", marianFolder, edit("vocab.json", map[string]any{"new": 60}), `FOLDER/vocab.json: byte 225: "new" has the id 60, outside of the 60 rows of the embeddings; it belongs to another model`},
		{"vocabulary id", marianFolder, edit("vocab.json", map[string]any{"</s>": 77}), `FOLDER/vocab.json: byte 41: "</s>" has the id 77, outside of the 60 rows of the embeddings; it belongs to another model`},
		{"pre-norm without norms", marianFolder, edit("config.json", map[string]any{"normalize_before": true}), `FOLDER/model.safetensors: tensor "model.encoder.layer_norm.weight": is missing; the file is incomplete, or config.json belongs to another model`},
		{"post-norm with norms", separateFolder, edit("config.json", map[string]any{"normalize_before": false}), `FOLDER/model.safetensors: tensor "model.decoder.layer_norm.bias": of shape [32] has no place in the models that this version runs; the architecture differs; please report which model it is`},
		{"missing tensor", marianFolder, rename(q, "x"), `FOLDER/model.safetensors: tensor "model.encoder.layers.1.self_attn.q_proj.weight": is missing; the file is incomplete, or config.json belongs to another model`},
		{"unknown tensor", marianFolder, rename("final_logits_bias", "model.extra"), `FOLDER/model.safetensors: tensor "model.extra": of shape [1 60] has no place in the models that this version runs; the architecture differs; please report which model it is`},
		{"NaN", marianFolder, poison(q, 5*32+3, 0x7fc00000), `FOLDER/model.safetensors: tensor "model.encoder.layers.1.self_attn.q_proj.weight": row 5, column 3 is NaN; the weights are damaged or the training diverged; get them again`},
		{"infinity in a table", separateFolder, poison("model.encoder.embed_tokens.weight", 2*32, math.Float32bits(float32(math.Inf(1)))), `FOLDER/model.safetensors: tensor "model.encoder.embed_tokens.weight": row 2, column 0 is +Inf; the weights are damaged or the training diverged; get them again`},
		{"NaN in a bias", marianFolder, poison("model.encoder.layers.1.fc1.bias", 7, 0x7fc00000), `FOLDER/model.safetensors: tensor "model.encoder.layers.1.fc1.bias": row 0, column 7 is NaN; the weights are damaged or the training diverged; get them again`},
		{"not an spm", marianFolder, func(t *testing.T, folder string) {
			writeFile(t, filepath.Join(folder, "source.spm"), "not a model")
		}, "FOLDER/source.spm: SentencePiece model: byte 0 has the wire type 6: is this a SentencePiece model?; download it again"},
		{"generation config cut", marianFolder, put("generation_config.json", `{"num_beams": 4`), "FOLDER/generation_config.json: byte 15: the JSON ends early; download or write it again"},
		{"generation config of text", marianFolder, put("generation_config.json", "beams: 4"), "FOLDER/generation_config.json: byte 0: this is not JSON: invalid character 'b' looking for beginning of value; download or write it again"},
		{"generation config with a start in words", marianFolder, put("generation_config.json", `{"decoder_start_token_id": "<pad>"}`), "FOLDER/generation_config.json: byte 34: decoder_start_token_id is a string where a whole number was expected; download or write it again"},
		{"generation config with another start", marianFolder, put("generation_config.json", `{"decoder_start_token_id": -7}`), "FOLDER/config.json: decoder_start_token_id -7 is not in the vocabulary; it must name the decoder's first token (what generation_config.json says counts before config.json)"},
		{"end in words", marianFolder, edit("config.json", map[string]any{"eos_token_id": "</s>"}), "FOLDER/config.json: the JSON is not what was expected: eos_token_id is neither an id nor a list of ids; download or write it again"},
		{"no ends", marianFolder, edit("config.json", map[string]any{"eos_token_id": []int{}}), "FOLDER/config.json: the JSON is not what was expected: eos_token_id is neither an id nor a list of ids; download or write it again"},
		{"bad words beyond", marianFolder, edit("config.json", map[string]any{"bad_words_ids": [][]int{{60}}}), "FOLDER/config.json: bad_words_ids names token 60 of 60; they must be ids of the vocabulary (what generation_config.json says counts before config.json)"},
		{"bad words of one list", marianFolder, edit("config.json", map[string]any{"bad_words_ids": []int{59}}), "FOLDER/config.json: byte 158: bad_words_ids is a number where an array was expected; download or write it again"},
		{"bad words in words", marianFolder, edit("config.json", map[string]any{"bad_words_ids": [][]string{{"<pad>"}}}), "FOLDER/config.json: byte 174: bad_words_ids is a string where a whole number was expected; download or write it again"},
		{"layers in words", marianFolder, edit("config.json", map[string]any{"encoder_layers": "2"}), "FOLDER/config.json: byte 437: encoder_layers is a string where a whole number was expected; download or write it again"},
		{"half a layer", marianFolder, edit("config.json", map[string]any{"encoder_layers": 2.5}), "FOLDER/config.json: byte 437: encoder_layers is 2.5 where a whole number was expected; download or write it again"},
		{"layers beyond all numbers", marianFolder, edit("config.json", map[string]any{"encoder_layers": json.Number("99999999999999999999")}), "FOLDER/config.json: byte 454: encoder_layers is 99999999999999999999 where a whole number was expected; download or write it again"},
		{"pre-norm in words", marianFolder, edit("config.json", map[string]any{"normalize_before": "yes"}), "FOLDER/config.json: byte 613: normalize_before is a string where true or false was expected; download or write it again"},
		{"activation is a list", marianFolder, edit("config.json", map[string]any{"activation_function": []string{"relu"}}), "FOLDER/config.json: byte 47: activation_function is an array where a string was expected; download or write it again"},
		{"config is a list", marianFolder, put("config.json", `["marian"]`), "FOLDER/config.json: byte 1: an array where an object was expected; download or write it again"},
		{"config is null", marianFolder, put("config.json", "null"), "FOLDER/config.json: has no model_type; give the folder of a CTranslate2 model (model.bin with its vocabularies), of a Hugging Face Marian model (config.json, model.safetensors or pytorch_model.bin, source.spm, target.spm, vocab.json) or of a Firefox model (model.*.intgemm.alphas.bin, vocab.*.spm), an .argosmodel, or one of the files that edge-infer help convert lists"},
		{"config is empty", marianFolder, put("config.json", ""), "FOLDER/config.json: byte 0: the JSON ends early; download or write it again"},
		{"config of Latin-1", marianFolder, put("config.json", "{\"model_type\": \"marian\", \"_name\": \"\xe9\"}"), "FOLDER/config.json: byte 35: the JSON is not UTF-8; download or write it again"},
		{"config twice", marianFolder, put("config.json", `{"model_type": "marian"}{}`), "FOLDER/config.json: byte 24: this is not JSON: invalid character '{' after top-level value; download or write it again"},
		{"config with a comment", marianFolder, put("config.json", "{\n// of mine\n\"model_type\": \"marian\"}"), "FOLDER/config.json: byte 2: this is not JSON: invalid character '/' looking for beginning of object key string; download or write it again"},
		{"config with NaN", marianFolder, put("config.json", `{"model_type": "marian", "dropout": NaN}`), "FOLDER/config.json: byte 36: this is not JSON: invalid character 'N' looking for beginning of value; download or write it again"},
		{"config is a page", marianFolder, put("config.json", "<!DOCTYPE html>"), "FOLDER/config.json: byte 0: this is not JSON: invalid character '<' looking for beginning of value; download or write it again"},
		{"config nested without end", marianFolder, put("config.json", strings.Repeat(`{"a":`, 1<<15)), "FOLDER/config.json: byte 50000: this is not JSON: invalid character '{' exceeded max depth; download or write it again"},
		{"tokenizer config is a list", marianFolder, put("tokenizer_config.json", "[]"), "FOLDER/tokenizer_config.json: byte 1: an array where an object was expected; download or write it again"},
		{"tokenizer config with a number for a language", marianFolder, put("tokenizer_config.json", `{"source_lang": 1}`), "FOLDER/tokenizer_config.json: byte 17: source_lang is a number where a string was expected; download or write it again"},
		{"two vocabularies and one table", marianFolder, put("target_vocab.json", "{}"), "FOLDER: has two vocabularies, but one table of embeddings for both; config.json must say share_encoder_decoder_embeddings: false"},
		{"an index of nothing", marianFolder, func(t *testing.T, folder string) {
			remove("model.safetensors")(t, folder)
			writeFile(t, filepath.Join(folder, "model.safetensors.index.json"), `{"weight_map": {}}`)
		}, "FOLDER/model.safetensors.index.json: the index has no weight_map; give the file of weights itself"},
		{"an index that leads out", marianFolder, func(t *testing.T, folder string) {
			remove("model.safetensors")(t, folder)
			writeFile(t, filepath.Join(folder, "model.safetensors.index.json"), `{"weight_map": {"a": "../x.safetensors"}}`)
		}, `FOLDER/model.safetensors.index.json: tensor "a": the shard "../x.safetensors" is not a plain file name; put all shards into the folder of the index`},
		{"an index of numbers", marianFolder, func(t *testing.T, folder string) {
			remove("model.safetensors")(t, folder)
			writeFile(t, filepath.Join(folder, "model.safetensors.index.json"), `{"weight_map": {"a": 1}}`)
		}, "FOLDER/model.safetensors.index.json: byte 22: weight_map is a number where a string was expected; download or write it again"},
		{"npz", "", func(t *testing.T, folder string) { writeFile(t, filepath.Join(folder, "model.npz"), "x") }, "FOLDER/model.npz: is a native Marian model, which this version does not read; convert it with ct2-marian-converter or transformers' convert_marian_to_pytorch.py first; if it holds rows of numbers, name the file itself"},
		{"CTranslate2 cut short", ct2Folder, func(t *testing.T, folder string) {
			if err := os.Truncate(filepath.Join(folder, "model.bin"), 100000); err != nil {
				t.Fatal(err)
			}
		}, `FOLDER/model.bin: tensor "decoder/layer_1/ffn/linear_1/weight": byte 93196: it claims 10240 bytes where 6804 are left: the file is cut short; download or convert it again`},
		{"CTranslate2 vocabulary", ct2Folder, func(t *testing.T, folder string) {
			writeFile(t, filepath.Join(folder, "shared_vocabulary.json"), `["</s>", "<unk>", "a"]`)
		}, "FOLDER/shared_vocabulary.json: has 3 tokens (the unknown token counted), but the embeddings have 59 rows; it belongs to another model"},
		{"CTranslate2 without vocabulary", ct2Folder, remove("shared_vocabulary.json"), "FOLDER: neither shared_vocabulary nor target_vocabulary (.json or .txt) is there; copy the whole folder"},
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
			if got := filepath.ToSlash(strings.ReplaceAll(err.Error(), folder, "FOLDER")); got != c.want {
				t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
			}
			wantEmpty(t, out)
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

// TestNoFile: to open a pipe or a device is to wait for it, or worse; none is opened.
func TestNoFile(t *testing.T) {
	_, err := Convert(context.Background(), os.DevNull, filepath.Join(t.TempDir(), "out.ei8"), Options{})
	if want := os.DevNull + ": is neither a file nor a folder; write the model to a file, and name that"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
