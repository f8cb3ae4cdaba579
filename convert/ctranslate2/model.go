// Package ctranslate2 reads the folders that CTranslate2's converters write: model.bin, vocabularies and
// config.json. All binary versions, 1 to 6.
//
// model.bin, little-endian; a string is a u16 length that counts its final NUL, then the bytes:
//
//	u32 binary version
//	version >= 2:  string name of the specification, u32 its revision
//	u32 count, then for each variable
//	    string name, u8 rank, u32 dimension [rank]
//	    version >= 4:  u8 type (0 f32, 1 i8, 2 i16, 3 i32, 4 f16, 5 bf16), u32 bytes
//	    before:        u8 item size (4 f32, 2 i16, 1 i8), u32 items
//	    the data
//	version >= 3:  u32 count, then for each alias: string alias, string variable
//
// An alias also stands for the variable's "_scale" and "_zero". Facts from CTranslate2's src/models/model.cc,
// model_spec.py, vocabulary.cc, sequence_to_sequence.cc, language_model.cc and transformer.cc at v4.8.1.
package ctranslate2

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// newest is the last binary version known, and revisions the last revision of each specification.
const newest = 6

var revisions = map[string]uint32{
	"": 1, "TransformerBase": 7, "TransformerBig": 7, "TransformerSpec": 7, "TransformerDecoderSpec": 8, "TransformerEncoderSpec": 1,
	"WhisperSpec": 3, "Wav2Vec2Spec": 3, "Wav2Vec2BertSpec": 1,
}

// dtypes in the order of their numbers.
var dtypes = []string{checkpoint.F32, checkpoint.I8, checkpoint.I16, checkpoint.I32, checkpoint.F16, checkpoint.BF16}

// globalScale is the scale of int16 weights that have none of their own.
const globalScale = 1000

const again = "download or convert it again"

// A Model is an opened folder. Its tensors keep CTranslate2's names ("encoder/layer_0/ffn/linear_0/weight");
// quantized ones have Scale set, so that ReadF32 gives real numbers. What later versions of the format
// state and earlier ones leave to the reader is filled in: aliases "encoder/num_heads" and so on for
// "num_heads", number of heads of TransformerBase and TransformerBig, and the names of revision 1.
type Model struct {
	*checkpoint.Checkpoint
	BinaryVersion int
	Spec          string // "TransformerSpec", "TransformerDecoderSpec", ...
	Revision      int
	Config        Config

	// Source has one vocabulary, or more for models with several input features. A language model or an
	// encoder has one vocabulary, and it is Source[0] and Target. Shared: Source[0] is Target.
	Source []*Vocabulary
	Target *Vocabulary
	Shared bool

	files fs.FS
}

// OpenModel opens a folder with a model.bin. Weights stay in the file.
func OpenModel(dir string) (*Model, error) { return Open(os.DirFS(dir), dir) }

// Open is OpenModel for a folder that need not be on disk; its files must be io.ReaderAts. dir is its name in errors.
func Open(files fs.FS, dir string) (*Model, error) {
	path := filepath.Join(dir, "model.bin")
	if info, err := fs.Stat(files, "model.bin"); err == nil && !info.Mode().IsRegular() { // to open a pipe is to wait for its other end
		return nil, checkpoint.Errorf(path, "", -1, again, "it is not a regular file")
	}
	f, err := files.Open("model.bin")
	if err != nil {
		return nil, &checkpoint.Error{File: path, Offset: -1, Reason: "cannot be opened", Err: err}
	}
	m := &Model{Checkpoint: checkpoint.New("ctranslate2", dir, f), files: files}
	if err := m.open(f, path, dir); err != nil {
		f.Close()
		return nil, err
	}
	return m, nil
}

func (m *Model) open(f fs.File, path, dir string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	src, ok := f.(io.ReaderAt)
	if !info.Mode().IsRegular() || !ok {
		return &checkpoint.Error{File: path, Offset: -1, Reason: "it is not a regular file"}
	}
	if err := m.readVariables(src, path, info.Size()); err != nil {
		return err
	}
	if err := m.readConfig(dir); err != nil {
		return err
	}
	if err := m.fillIn(path); err != nil {
		return err
	}
	if err := m.attachScales(path); err != nil {
		return err
	}
	return m.readVocabularies(dir)
}

// scanner walks through model.bin; data are skipped, not read.
type scanner struct {
	path string
	src  io.ReaderAt
	in   *bufio.Reader
	pos  int64
	size int64
}

//go:noinline
func (s *scanner) fail(name, do, format string, args ...any) error {
	return &checkpoint.Error{File: s.path, Tensor: name, Offset: s.pos, Reason: fmt.Sprintf(format, args...), Do: do}
}

func (s *scanner) read(b []byte, what string) error {
	if int64(len(b)) > s.size-s.pos {
		return s.fail("", again, "the file ends inside the %s", what)
	}
	if _, err := io.ReadFull(s.in, b); err != nil {
		return &checkpoint.Error{File: s.path, Offset: s.pos, Reason: "could not read the " + what, Err: err}
	}
	s.pos += int64(len(b))
	return nil
}

func (s *scanner) u8(what string) (uint8, error) {
	var b [1]byte
	err := s.read(b[:], what)
	return b[0], err
}

func (s *scanner) u32(what string) (uint32, error) {
	var b [4]byte
	err := s.read(b[:], what)
	return binary.LittleEndian.Uint32(b[:]), err
}

func (s *scanner) text(what string) (string, error) {
	at := s.pos
	var b [2]byte
	if err := s.read(b[:], "length of the "+what); err != nil {
		return "", err
	}
	text := make([]byte, binary.LittleEndian.Uint16(b[:]))
	if err := s.read(text, what); err != nil {
		return "", err
	}
	if end := bytes.IndexByte(text, 0); end < 0 || end != len(text)-1 {
		s.pos = at
		return "", s.fail("", again, "the %s does not end with its only NUL", what)
	}
	return string(text[:len(text)-1]), nil
}

// skip passes over n bytes, which the caller has compared with what is left.
func (s *scanner) skip(n int64) {
	if n < int64(s.in.Size()) {
		s.in.Discard(int(n))
	} else {
		s.in.Reset(io.NewSectionReader(s.src, s.pos+n, s.size-s.pos-n))
	}
	s.pos += n
}

// readVariables adds the tensors and aliases of model.bin.
func (m *Model) readVariables(src io.ReaderAt, path string, size int64) error {
	s := &scanner{path: path, src: src, in: bufio.NewReaderSize(io.NewSectionReader(src, 0, size), 4096), size: size}
	version, err := s.u32("binary version")
	if err != nil {
		return err
	}
	if version < 1 || version > newest {
		s.pos = 0
		do := "update edge-infer, or convert with an older CTranslate2"
		if version > 1000 || version == 0 {
			do = "give the folder of a CTranslate2 model"
		}
		return s.fail("", do, "binary version %d; 1 to %d are known", version, newest)
	}
	m.BinaryVersion, m.Revision = int(version), 1
	if version >= 2 {
		if m.Spec, err = s.text("name of the specification"); err != nil {
			return err
		}
		revision, err := s.u32("revision")
		if err != nil {
			return err
		}
		if last, ok := revisions[m.Spec]; ok && revision > last || revision > math.MaxInt32 {
			return s.fail("", "update edge-infer, or convert with an older CTranslate2", "revision %d of %s; up to %d are known", revision, m.Spec, last)
		}
		m.Revision = int(revision)
	}
	count, err := s.u32("number of variables")
	if err != nil {
		return err
	}
	// Each variable takes 3 + 1 + 1 + 4 bytes at the least, so a count that lies ends at the file's end
	// without having allocated for it.
	for i := uint32(0); i < count; i++ {
		if err := m.readVariable(s); err != nil {
			return err
		}
	}
	if version >= 3 {
		if err := m.readAliases(s); err != nil {
			return err
		}
	}
	if s.pos != size {
		return s.fail("", again, "%d bytes follow the end of the model", size-s.pos)
	}
	return nil
}

func (m *Model) readVariable(s *scanner) error {
	name, err := s.text("name of a variable")
	if err != nil {
		return err
	}
	rank, err := s.u8("rank of " + name)
	if err != nil {
		return err
	}
	if int(rank) > checkpoint.MaxRank {
		return s.fail(name, again, "it has %d dimensions, more than %d", rank, checkpoint.MaxRank)
	}
	shape := make([]int, rank)
	items := int64(1)
	for i := range shape {
		d, err := s.u32("shape of " + name)
		if err != nil {
			return err
		}
		if int64(d) > math.MaxInt || d > 0 && items > math.MaxInt64/8/int64(d) {
			return s.fail(name, again, "dimension %d is too large", d)
		}
		shape[i] = int(d)
		items *= int64(d)
	}
	code, err := s.u8("type of " + name)
	if err != nil {
		return err
	}
	length, err := s.u32("size of " + name)
	if err != nil {
		return err
	}
	var dtype string
	payload := int64(length)
	if m.BinaryVersion >= 4 {
		if int(code) >= len(dtypes) {
			return s.fail(name, "convert it with --quantization int8 or float32", "elements of type %d; 0 to %d are known", code, len(dtypes)-1)
		}
		dtype = dtypes[code]
	} else {
		switch code {
		case 4:
			dtype = checkpoint.F32
		case 2:
			dtype = checkpoint.I16
		case 1:
			dtype = checkpoint.I8
		default:
			return s.fail(name, again, "elements of %d bytes; 1, 2 and 4 are known", code)
		}
		payload *= int64(code)
	}
	if need := items * int64(checkpoint.ElementSize(dtype)); payload != need {
		return s.fail(name, again, "shape %v of %s is %d bytes, but it claims %d", shape, dtype, need, payload)
	}
	if payload > s.size-s.pos {
		return s.fail(name, again, "it claims %d bytes where %d are left: the file is cut short", payload, s.size-s.pos)
	}
	if m.Revision == 1 && (m.Spec == "" || m.Spec == "TransformerBase" || m.Spec == "TransformerBig" || m.Spec == "TransformerSpec") {
		name = firstNames(name)
	}
	t, err := checkpoint.NewTensor(s.path, name, dtype, shape, checkpoint.Layout{Source: s.src, Offset: s.pos, Limit: s.pos + payload})
	if err != nil {
		return err
	}
	s.skip(payload)
	return m.Add(t)
}

// readAliases adds the aliases, each with the scale and the zero point of what it stands for.
func (m *Model) readAliases(s *scanner) error {
	count, err := s.u32("number of aliases")
	if err != nil {
		return err
	}
	for i := uint32(0); i < count; i++ {
		alias, err := s.text("name of an alias")
		if err != nil {
			return err
		}
		name, err := s.text("variable of an alias")
		if err != nil {
			return err
		}
		at := s.pos
		for _, suffix := range []string{"", "_scale", "_zero"} {
			if _, ok := m.Lookup(name + suffix); !ok && suffix != "" {
				continue
			}
			if err := m.Alias(alias+suffix, name+suffix); err != nil {
				s.pos = at
				return s.fail(alias+suffix, again, "it is an alias of %q, which is not there, or a name that is taken", name+suffix)
			}
		}
	}
	return nil
}

// firstNames turns the names of revision 1, which are those of OpenNMT-tf's variables, into today's.
func firstNames(name string) string {
	once := func(old, new string) { name = strings.Replace(name, old, new, 1) }
	once("transformer/", "")
	once(":0", "")
	once("w_embs", "embeddings/weight")
	once("kernel", "weight")
	once("LayerNorm", "layer_norm")
	once("dense", "projection")
	once("conv1d_", "linear_")
	once("conv1d", "linear_0")
	if strings.Contains(name, "encoder") {
		once("multi_head", "self_attention")
	} else {
		once("masked_multi_head", "self_attention")
		once("multi_head", "attention")
	}
	return name
}

// fillIn adds what old revisions do not state.
func (m *Model) fillIn(path string) error {
	heads := map[string]byte{"": 8, "TransformerBase": 8, "TransformerBig": 16}
	transformer := m.Spec == "TransformerSpec"
	if n, ok := heads[m.Spec]; ok {
		transformer = true
		if _, there := m.Lookup("num_heads"); !there && m.Revision < 3 {
			if err := m.addConstant(path, "num_heads", checkpoint.I8, []byte{n}); err != nil {
				return err
			}
		}
	}
	var scopes, names []string
	switch {
	case transformer && m.Revision < 5:
		scopes = []string{"encoder", "decoder"}
		names = []string{"num_heads", "pre_norm", "activation", "embeddings_merge", "alignment_layer", "alignment_heads"}
	case m.Spec == "TransformerDecoderSpec" && m.Revision < 2:
		scopes = []string{"decoder"}
		names = []string{"num_heads", "pre_norm", "activation"}
	}
	for _, scope := range scopes {
		for _, name := range names {
			_, taken := m.Lookup(scope + "/" + name)
			if _, there := m.Lookup(name); there && !taken {
				if err := m.Alias(scope+"/"+name, name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// addConstant adds a scalar that is not in the file.
func (m *Model) addConstant(path, name, dtype string, data []byte) error {
	t, err := checkpoint.NewTensor(path, name, dtype, nil, checkpoint.Layout{Source: bytes.NewReader(data), Limit: int64(len(data))})
	if err != nil {
		return err
	}
	return m.Add(t)
}

// attachScales joins each quantized weight with its scale. As CTranslate2 does, it takes integers for
// weights where the name ends in "weight", and takes an int16 weight without a scale to have 1000.
func (m *Model) attachScales(path string) error {
	for _, name := range m.Names() {
		t, _ := m.Lookup(name)
		if !strings.HasSuffix(name, "weight") || t.DType != checkpoint.I8 && t.DType != checkpoint.I16 && t.DType != checkpoint.I32 {
			continue
		}
		fail := func(do, format string, args ...any) error {
			return checkpoint.Errorf(path, name, t.Offset, do, format, args...)
		}
		const plain = "convert the model with --quantization int8 or float32"
		if _, ok := m.Lookup(name + "_zero"); ok || t.DType == checkpoint.I32 || m.Config.QuantizationType != 0 {
			return fail(plain, "it is packed by AWQ into 4 bits")
		}
		scale, ok := m.Lookup(name + "_scale")
		if !ok {
			if t.DType != checkpoint.I16 {
				return fail(again, "it is int8, and %s_scale is missing", name)
			}
			data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(globalScale))
			if err := m.addConstant(path, name+"_scale", checkpoint.F32, data); err != nil {
				return err
			}
			scale, _ = m.Lookup(name + "_scale")
		}
		if scale.DType != checkpoint.F32 && scale.DType != checkpoint.F16 && scale.DType != checkpoint.BF16 {
			return fail(again, "%s_scale is %s where a float was expected", name, scale.DType)
		}
		if n := scale.Len(); n != 1 && (len(t.Shape) < 2 || n != t.Shape[0]) {
			return fail(again, "shape %v but %d scales", t.Shape, n)
		}
		t.Scale = scale
	}
	return nil
}

// Int reads a scalar such as "encoder/num_heads"; absent gives fallback.
func (m *Model) Int(name string, fallback int64) (int64, error) {
	t, ok := m.Lookup(name)
	if !ok {
		return fallback, nil
	}
	return t.Int()
}

// Flag reads a scalar such as "encoder/pre_norm", true if not 0; absent gives fallback.
func (m *Model) Flag(name string, fallback bool) (bool, error) {
	t, ok := m.Lookup(name)
	if !ok {
		return fallback, nil
	}
	v, err := t.Int()
	return v != 0, err
}

// Float reads a scalar such as "decoder/scale_outputs"; absent gives fallback.
func (m *Model) Float(name string, fallback float32) (float32, error) {
	t, ok := m.Lookup(name)
	if !ok {
		return fallback, nil
	}
	if t.Len() != 1 {
		return 0, &checkpoint.Error{File: t.File, Tensor: name, Offset: t.Offset, Reason: fmt.Sprintf("shape %v where one number was expected", t.Shape)}
	}
	v, err := t.F32()
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// maxText bounds a text that is stored as a tensor.
const maxText = 1 << 16

// Text reads a text such as "unk_token", which is stored as a vector of int8; absent gives fallback.
func (m *Model) Text(name, fallback string) (string, error) {
	t, ok := m.Lookup(name)
	if !ok {
		return fallback, nil
	}
	if t.Len() > maxText || len(t.Shape) > 1 {
		return "", &checkpoint.Error{File: t.File, Tensor: name, Offset: t.Offset, Reason: fmt.Sprintf("shape %v where a text was expected", t.Shape)}
	}
	raw := make([]int8, t.Len())
	if err := t.ReadI8(raw, 0, 1); err != nil {
		return "", err
	}
	text := make([]byte, len(raw))
	for i, b := range raw {
		text[i] = byte(b)
	}
	return string(text), nil
}
