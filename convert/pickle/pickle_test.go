package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readBytes(data []byte) (Node, int64, error) {
	return Read(bytes.NewReader(data), int64(len(data)), Options{})
}

// plain turns nodes into Go values that can be compared.
func plain(t *testing.T, n Node) any {
	t.Helper()
	list := func(items []Node) []any {
		all := []any{}
		for _, i := range items {
			all = append(all, plain(t, i))
		}
		return all
	}
	dict := func(pairs []Pair) map[any]any {
		m := map[any]any{}
		for _, p := range pairs {
			m[plain(t, p.Key)] = plain(t, p.Value)
		}
		return m
	}
	switch n := n.(type) {
	case *Bytes:
		b, err := n.Load()
		if err != nil {
			t.Fatal(err)
		}
		return "b:" + string(b)
	case Long:
		v, ok := new(big.Int).SetString(string(n), 0)
		if !ok || v.IsInt64() {
			t.Errorf("%q is no integer, or a small one", n)
		}
		if f, _ := new(big.Float).SetInt(v).Float64(); f != n.Float64() {
			t.Errorf("%s is %v as a float64, want %v", n, n.Float64(), f)
		}
		return v.String()
	case *List:
		return list(n.Items)
	case *Tuple:
		return append([]any{"tuple"}, list(n.Items)...)
	case *Set:
		return append([]any{"set"}, list(n.Items)...)
	case *Dict:
		return dict(n.Pairs)
	case *Object:
		switch n.Class.String() {
		case "builtins.set", "builtins.frozenset": // protocols 0 to 3: set([...])
			return append([]any{"set"}, plain(t, n.Args[0]).([]any)...)
		case "_codecs.encode": // protocols 0 to 2: bytes as text in Latin-1
			b := []byte{}
			for _, r := range n.Args[0].(string) {
				b = append(b, byte(r))
			}
			return "b:" + string(b)
		case "builtins.bytes": // protocols 0 to 2: empty bytes
			return "b:"
		case "builtins.bytearray":
			if len(n.Args) == 0 {
				return "b:"
			}
			if s, ok := n.Args[0].(string); ok { // bytearray(text, "latin-1")
				return "b:" + s
			}
			return plain(t, n.Args[0])
		case "collections.OrderedDict":
			return []any{"ordered", list(flatten(n.Pairs))}
		}
		return []any{n.Class.String(), list(n.Args), plain(t, n.State)}
	}
	return n
}

func flatten(pairs []Pair) (all []Node) {
	for _, p := range pairs {
		all = append(all, p.Key, p.Value)
	}
	return all
}

// TestEverything reads one value of each kind, as Python writes it in protocols 0 to 5.
func TestEverything(t *testing.T) {
	two := func(n uint) string { return new(big.Int).Lsh(big.NewInt(1), n).String() }
	ordered := []any{"ordered", []any{"a", int64(1), "b", []any{int64(2)}}}
	want := map[any]any{
		"ints": []any{int64(0), int64(1), int64(-1), int64(255), int64(256), int64(65535), int64(65536), int64(-1 << 31), int64(1 << 31), int64(1 << 40),
			int64(-1 << 40), int64(math.MaxInt64), int64(math.MinInt64), two(63), "-" + two(100)},
		"floats":    []any{0.0, -0.5, 1e300, math.Inf(1)},
		"bools":     []any{"tuple", true, false},
		"none":      nil,
		"text":      []any{"", "abc", "héllo 名\n\\u0041 😀", strings.Repeat("x", 300), `it's "quoted"`},
		"bytes":     []any{"b:", "b:\x00\xff", "b:" + strings.Repeat("y", 300)},
		"bytearray": "b:ab",
		"tuples": []any{[]any{"tuple"}, []any{"tuple", int64(1)}, []any{"tuple", int64(1), int64(2)}, []any{"tuple", int64(1), int64(2), int64(3)},
			[]any{"tuple", int64(1), int64(2), int64(3), int64(4)}},
		"set": []any{"set", int64(7)}, "frozenset": []any{"set", int64(8)},
		"ordered": ordered, "again": ordered,
		"namespace": []any{"argparse.Namespace", []any{}, map[any]any{"x": int64(1), "y": "z"}},
		"nested":    map[any]any{"k": map[any]any{"l": []any{map[any]any{"m": int64(5)}}}},
		"complex":   []any{"builtins.complex", []any{1.0, 2.0}, nil},
		"numbers":   map[any]any{int64(1): "one"},
	}
	for protocol := range 6 {
		data := readFile(t, fmt.Sprintf("everything_%d.pkl", protocol))
		n, end, err := readBytes(data)
		if err != nil {
			t.Errorf("protocol %d: %v", protocol, err)
			continue
		}
		if end != int64(len(data)) {
			t.Errorf("protocol %d: ends at %d of %d", protocol, end, len(data))
		}
		got := plain(t, n).(map[any]any)
		if ns, ok := got["namespace"].([]any); ok && protocol < 2 { // object.__reduce_ex__ of old gives (base, state)
			ns[1] = []any{}
		}
		for k := range want {
			if !reflect.DeepEqual(got[k], want[k]) {
				t.Errorf("protocol %d, %v:\ngot  %#v\nwant %#v", protocol, k, got[k], want[k])
			}
		}
		if len(got) != len(want) {
			t.Errorf("protocol %d: %d keys, want %d", protocol, len(got), len(want))
		}
		d := n.(*Dict)
		if a, _ := d.Get("ordered"); a == nil {
			t.Error("no ordered")
		} else if b, _ := d.Get("again"); a != b {
			t.Errorf("protocol %d: what Python had once is here twice", protocol)
		}
	}
}

func TestLoop(t *testing.T) {
	n, _, err := readBytes(readFile(t, "loop.pkl"))
	if err != nil {
		t.Fatal(err)
	}
	if l, ok := n.(*List); !ok || len(l.Items) != 1 || l.Items[0] != n {
		t.Error("not a list that contains itself")
	}
}

// TestRefused opens what would run code in Python, as Python itself wrote it.
func TestRefused(t *testing.T) {
	for name, want := range map[string]string{
		"evil_system_0.pkl": "byte 0: the pickle asks to run posix.system: refused; nothing was run",
		"evil_system_1.pkl": "byte 0: the pickle asks to run posix.system: refused; nothing was run",
		"evil_system_2.pkl": "byte 2: the pickle asks to run posix.system: refused; nothing was run",
		"evil_system_3.pkl": "byte 2: the pickle asks to run posix.system: refused; nothing was run",
		"evil_system_4.pkl": "byte 28: the pickle asks to run posix.system: refused; nothing was run",
		"evil_system_5.pkl": "byte 28: the pickle asks to run posix.system: refused; nothing was run",
		"evil_eval.pkl":     "byte 2: the pickle asks to run builtins.eval: refused; nothing was run",
		"evil_getattr.pkl":  "byte 32: the pickle asks to run builtins.getattr: refused; nothing was run",
		"evil_numpy.pkl":    "byte 55: the pickle asks to run numpy.save: refused; nothing was run",
	} {
		_, _, err := readBytes(readFile(t, name))
		var refused *RefusedError
		if !errors.As(err, &refused) || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", name, err, want)
		}
	}
	// Written by hand, all the ways to name and to call.
	for data, want := range map[string]string{
		"cos\nsystem\n(S'x'\ntR.":                                "byte 0: the pickle asks to run os.system: refused; nothing was run",
		"cos\nsystem\n.":                                         "byte 0: the pickle asks to run os.system: refused; nothing was run",
		"(S'x'\nios\nsystem\n.":                                  "byte 6: the pickle asks to run os.system: refused; nothing was run",
		"(cfoo\nrun\nS'x'\no.":                                   "byte 15: the pickle asks to run foo.run: refused; nothing was run",
		"(S'x'\nifoo\nrun\n.":                                    "byte 6: the pickle asks to run foo.run: refused; nothing was run",
		"c__builtin__\neval\n(S'1'\ntR.":                         "byte 0: the pickle asks to run builtins.eval: refused; nothing was run",
		"cbuiltins.x\neval\n.":                                   "byte 0: the pickle asks to run builtins.x.eval: refused; nothing was run",
		"\x80\x04\x8c\x02os\x8c\x06system\x93)R.":                "byte 14: the pickle asks to run os.system: refused; nothing was run",
		"\x80\x02ccopy_reg\n_reconstructor\n(cos\nsystem\nNNtR.": "byte 28: the pickle asks to run os.system: refused; nothing was run",
		"csubprocess\nPopen\n)\x81.":                             "byte 0: the pickle asks to run subprocess.Popen: refused; nothing was run",
		"cos.path\njoin\n)R.":                                    "byte 0: the pickle asks to run os.path.join: refused; nothing was run",
		"cos\nsys\x1b[31mtem\n)R.":                               "byte 0: the pickle asks to run os.sys?[31mtem: refused; nothing was run",
	} {
		_, _, err := readBytes([]byte(data))
		if err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", data, err, want)
		}
	}
	// A name alone, or an instance of a class that we do not know, is kept and left alone.
	n, _, err := readBytes([]byte("\x80\x02cmy.model\nNet\n)\x81}U\x01aK\x01sb."))
	o, ok := n.(*Object)
	if err != nil || !ok || o.Class.String() != "my.model.Net" || o.Called || !o.HasState {
		t.Error(n, err)
	}
	if _, err := os.Stat("pwned"); err == nil {
		t.Fatal("a pickle was run")
	}
	// The caller may allow a call, which is kept as an Object all the same.
	data := []byte("cfoo\nrun\n(S'x'\ntR.")
	n, _, err = Read(bytes.NewReader(data), int64(len(data)), Options{Call: func(module, name string) bool { return module == "foo" }})
	if o, ok := n.(*Object); err != nil || !ok || !o.Called || o.Class.String() != "foo.run" || len(o.Args) != 1 {
		t.Error(n, err)
	}
}

// TestMalformed has what no pickler writes, and what is said of it.
func TestMalformed(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"", "byte 0 of the pickle: the pickle ends early, at byte 0"},
		{"N", "byte 1 of the pickle: the pickle ends early, at byte 1"},
		{".", "byte 0 of the pickle: it takes from an empty stack"},
		{"\x80\x06N.", "byte 0 of the pickle: it is of protocol 6, newer than the 5 that this version reads"},
		{"\xffN.", "byte 0 of the pickle: opcode 0xff is not known"},
		{"\x95\xff\x00\x00\x00\x00\x00\x00\x00N.", "byte 0 of the pickle: it claims 255 bytes where 2 are left"},
		{"X\xff\xff\xff\xffabc", "byte 0 of the pickle: it claims 4294967295 bytes where 3 are left"},
		{"\x8d\x00\x00\x00\x00\x00\x00\x00\x10abc", "byte 0 of the pickle: it claims 1152921504606846976 bytes where 3 are left"},
		{"B\xff\x00\x00\x00abc", "byte 0 of the pickle: it claims 255 bytes where 3 are left"},
		{"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc", "byte 0 of the pickle: it claims 18446744073709551615 bytes where 3 are left"},
		{"\x96\x00\x00\x00\x00\x00\x00\x00\x80abc", "byte 0 of the pickle: it claims 9223372036854775808 bytes where 3 are left"},
		{"\x8b\xff\xff\xff\xff.", "byte 0 of the pickle: it claims 4294967295 bytes where 1 are left"},
		{"\x8b\x00\x20\x00\x00" + strings.Repeat("\x01", 1<<13) + ".", "byte 0 of the pickle: an integer of 8192 bytes"},
		{"I12x\n.", `byte 0 of the pickle: "12x" is not an integer`},
		{"L\n.", `byte 0 of the pickle: "" is not an integer`},
		{"Fabc\n.", `byte 0 of the pickle: "abc" is not a float`},
		{"Sabc\n.", "byte 0 of the pickle: a string is not in quotes"},
		{"S'abc\\'\n.", "byte 0 of the pickle: a string ends in a backslash"},
		{"S'\\x4'\n.", "byte 0 of the pickle: an escape in a string is cut short"},
		{"V\\u12zz\n.", `byte 0 of the pickle: "\\u12zz" is not an escape`},
		{"t.", "byte 0 of the pickle: it takes items up to a mark that was not set"},
		{"N(0.", ""}, // takes the mark away, as Python does
		{"N(.", "byte 2 of the pickle: it takes from an empty stack"},
		{"2.", "byte 0 of the pickle: it looks at an empty stack"},
		{"q\x00.", "byte 0 of the pickle: it looks at an empty stack"},
		{"h\x07.", "byte 0 of the pickle: it uses memo 7, which was not set"},
		{"g99\n.", "byte 0 of the pickle: it uses memo 99, which was not set"},
		{"Npx\n.", `byte 1 of the pickle: "x" is not a memo index`},
		{"NNa.", "byte 2 of the pickle: it appends to None"},
		{"N(NNe.", "byte 4 of the pickle: it appends to None"},
		{"]NNs.", "byte 3 of the pickle: it sets items of a list"},
		{"}(NNNu.", "byte 5 of the pickle: a dict gets a key without a value"},
		{"(Nd.", "byte 2 of the pickle: a dict gets a key without a value"},
		{"](N\x90.", ""}, // Python has lists that add; harmless
		{"NN\x93.", "byte 2 of the pickle: a global is named by None and None"},
		{"c\n\n.", `byte 0 of the pickle: a global has the name "."`},
		{"c" + strings.Repeat("m", 2000) + "\nx\n.", `byte 0 of the pickle: a global has the name "` + strings.Repeat("m", 80) + `..."`},
		{"N)R.", "byte 2 of the pickle: it calls None, which is not a name"},
		{"ccollections\nOrderedDict\nNR.", "byte 26 of the pickle: the arguments of a call are None where a tuple was expected"},
		{"N)\x81.", "byte 2 of the pickle: it makes an object of None, which is not a class"},
		{"ca\nb\nN\x81.", "byte 6 of the pickle: the arguments of a.b are None where a tuple was expected"},
		{"ca\nb\n)N\x92.", "byte 7 of the pickle: keyword arguments are None where a dict was expected"},
		{"ccopyreg\n_reconstructor\n)R.", "byte 25 of the pickle: copyreg._reconstructor without a class"},
		{"ccopyreg\n_reconstructor\nN\x85R.", "byte 26 of the pickle: copyreg._reconstructor of None, which is not a class"},
		{"NNb.", "byte 2 of the pickle: it sets the state of None, which has none"},
		{"ca\nb\n)\x81NbNb.", "byte 10 of the pickle: it sets the state of a.b twice"},
		{"(o.", "byte 1 of the pickle: an object without a class"},
		{"\x82\x01.", "byte 0 of the pickle: it uses an extension code (copyreg.add_extension), which only the program that saved it can read"},
		{"\x97.", "byte 0 of the pickle: it keeps its data outside the pickle (protocol 5 buffers): save it without buffer_callback"},
	} {
		_, _, err := readBytes([]byte(c.data))
		if c.want == "" && err == nil {
			continue
		}
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != c.want {
			t.Errorf("%.50q:\ngot  %v\nwant %s", c.data, err, c.want)
		}
	}
}

// TestHostile: megabytes of what costs most stay within the bound that fuzzing holds small files to.
func TestHostile(t *testing.T) {
	const n = 1 << 16
	for name, data := range map[string]string{
		"lists":            strings.Repeat("]", 16*n) + ".",
		"marks":            strings.Repeat("(", 16*n) + ".",
		"tuple of tuples":  ")" + strings.Repeat("\x85", 16*n) + ".",
		"one in the other": strings.Repeat("]", n) + strings.Repeat("a", n-1) + ".",
		"memo":             "N" + strings.Repeat("\x94", 16*n) + ".",
		"doubling":         "]" + strings.Repeat("2\x86", 8*n) + ".",
		"long string":      "X\x00\x00\x00\x01" + strings.Repeat("a", 1<<24) + ".",
		"long line":        "V" + strings.Repeat("a", 1<<24),
		"long name":        "c" + strings.Repeat("a", 1<<24) + "\nb\n.",
		"long integer":     "I" + strings.Repeat("9", 1<<24) + "\n.",
		"dup":              "N" + strings.Repeat("2", 16*n) + "t.",
		"latin":            "T\x00\x00\x80\x00" + strings.Repeat("\xff", 1<<23) + ".",
		"dicts":            "(" + strings.Repeat("}", 8*n) + "l.",
		"ints":             "(" + strings.Repeat("K\x00", 8*n) + "l.",
		"objects":          "ca\nb\nq\x00" + strings.Repeat("h\x00)\x81", 4*n) + ".",
		"two growing":      "]]" + strings.Repeat("N2ra", 2*n) + ".",
		"sparse memo":      "Nr\x00\x00\x10\x00" + strings.Repeat("N\x94", 2*n) + ".",
		"far memo":         "Nr\xff\xff\xff\xff.",
		"items of dicts":   "}(" + strings.Repeat("K\x00N", 4*n) + "u.",
		"item by item":     "}" + strings.Repeat("K\x00Ns", 2*n) + ".",
		"escapes":          "V" + strings.Repeat("\\u00e9", 4*n) + "\n.",
		"high":             "V" + strings.Repeat("\xe9", 64*n) + "\n.",
		"floats":           "(" + strings.Repeat("F1\n", 2*n) + "l.",
		"names":            strings.Repeat("ca\nb\n", n) + ".",
		"calls":            "ccopyreg\n_reconstructor\nca\nb\n\x85q\x01" + strings.Repeat("0h\x00h\x01R", n) + ".",
	} {
		t.Run(name, func(t *testing.T) {
			fuzztest.Bounded(t, len(data), func() {
				_, _, err := Read(strings.NewReader(data), int64(len(data)), Options{})
				t.Log(err)
			})
		})
	}
}

func TestSpoiled(t *testing.T) {
	for _, protocol := range []int{0, 2, 4} {
		checkpointtest.Spoil(t, readFile(t, fmt.Sprintf("everything_%d.pkl", protocol)), 700, func(data []byte) error {
			_, _, err := readBytes(data)
			return err
		})
	}
}

func FuzzRead(f *testing.F) {
	for protocol := range 6 {
		f.Add(readFile(f, fmt.Sprintf("everything_%d.pkl", protocol)))
		f.Add(readFile(f, fmt.Sprintf("evil_system_%d.pkl", protocol)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() {
			n, _, err := readBytes(data)
			if err == nil {
				_ = Describe(n)
			}
		})
	})
}
