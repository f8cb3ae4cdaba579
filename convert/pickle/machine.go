package pickle

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unsafe"
)

// Options for Read.
type Options struct {
	// Call lets further globals be called (kept as inert Objects), beside those that every model needs.
	Call func(module, name string) bool
	// Budget, if not nil, is how many bytes may be allocated, and then how many are left. Without it: 8 times the pickle's length + 15 MB.
	Budget *int64
	// Built, if not nil, is called after each BUILD with the object that got its state: joblib writes the bytes of an array
	// into the pickle right behind the object that describes it. Built moves in.Pos behind them.
	Built func(o *Object, in *Inline) error
	// Persistent, if not nil, gives the node for something stored outside the pickle; without it, that is a *Persistent.
	Persistent func(id Node) Node
}

// Inline is what a pickle has in the middle of its opcodes that is not one of them.
type Inline struct {
	Source io.ReaderAt
	Pos    int64 // of the next byte; may be moved forward
	Size   int64 // of the pickle: Pos must stay within it

	m *machine
}

// Pickle reads a whole pickle that lies inside this one. It pays from the same budget; Built is not called for it.
func (in *Inline) Pickle() (Node, error) {
	inner := &machine{in: input{src: in.Source, size: in.Size, pos: in.Pos}, call: in.m.call, budget: in.m.budget - costMachine}
	n, err := inner.run()
	in.m.budget, in.Pos = inner.budget, inner.in.pos
	return n, err
}

// A SyntaxError says where a pickle stops making sense.
type SyntaxError struct {
	Offset int64 // in the pickle
	Reason string
	Err    error
}

func (e *SyntaxError) Error() string {
	s := fmt.Sprintf("byte %d of the pickle: %s", e.Offset, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// A RefusedError names what the pickle would have run in Python.
type RefusedError struct {
	Offset int64  // in the pickle
	Name   string // "os.system"
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("byte %d: the pickle asks to run %s: refused; nothing was run", e.Offset, e.Name)
}

// Read reads one pickle that starts at byte 0 of src and may be up to size bytes long. It returns the
// node that the pickle stands for and where the pickle ends.
//
// Every length is compared with the bytes that remain before it is used. Because an opcode of one byte
// can make a node of fifty, what is allocated is counted too, with what grew and was left behind, and bounded by Options.Budget.
func Read(src io.ReaderAt, size int64, options Options) (Node, int64, error) {
	m := &machine{in: input{src: src, size: size}, call: options.Call, built: options.Built, persistent: options.Persistent,
		budget: 8*size + 15<<20}
	if options.Budget != nil {
		m.budget = *options.Budget
		defer func() { *options.Budget = m.budget }()
	}
	n, err := m.run()
	return n, m.in.pos, err
}

// input is a buffered cursor over the pickle.
type input struct {
	src   io.ReaderAt
	pos   int64 // of the next byte
	size  int64
	buf   [4 << 10]byte
	start int64 // buf[:n] are the bytes from start
	n     int
}

func (in *input) remaining() int64 { return in.size - in.pos }

var errShort = errors.New("the pickle ends early")

// fill makes at least one byte at pos available.
func (in *input) fill() error {
	if in.pos >= in.size {
		return errShort
	}
	want := min(int64(len(in.buf)), in.size-in.pos)
	n, err := in.src.ReadAt(in.buf[:want], in.pos)
	if n == 0 {
		if err == nil || err == io.EOF {
			err = errShort
		}
		return err
	}
	in.start, in.n = in.pos, n
	return nil
}

// chunk gives the buffered bytes from pos on, at least one.
func (in *input) chunk() ([]byte, error) {
	if in.pos < in.start || in.pos >= in.start+int64(in.n) {
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
	return in.buf[in.pos-in.start : in.n], nil
}

func (in *input) byte() (byte, error) {
	c, err := in.chunk()
	if err != nil {
		return 0, err
	}
	in.pos++
	return c[0], nil
}

func (in *input) read(dst []byte) error {
	for len(dst) > 0 {
		c, err := in.chunk()
		if err != nil {
			return err
		}
		n := copy(dst, c)
		dst = dst[n:]
		in.pos += int64(n)
	}
	return nil
}

// uint reads a little-endian number of n bytes.
func (in *input) uint(n int) (uint64, error) {
	var b [8]byte
	if err := in.read(b[:n]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// machine is the stack machine.
type machine struct {
	in         input
	call       func(module, name string) bool
	built      func(o *Object, in *Inline) error
	persistent func(id Node) Node
	stack      []Node
	marks      []int  // heights of the stack where a MARK was set
	deep       int    // how many marks there have been at a time
	memo       []Node // by index; unset{} where none was put
	memos      int    // how many of them were put
	budget     int64
	at         int64 // offset of the opcode, for errors
}

// unset is in the memo what was not put there.
type unset struct{}

// Costs are counts of the bytes that are allocated, on the high side.
const (
	costSlot    = 24   // an item in a slice that is made once
	costBox     = 16   // what an interface points to, a number
	costMark    = 48   // a mark, in a slice that grows by quarters
	costString  = 16   // a string's header, boxed
	costNode    = 64   // a container without items
	costObject  = 192  // an Object
	costMachine = 6144 // the machine of a pickle in a pickle
	costInline  = 1024 // what the reader keeps of an array between opcodes
	costOutside = 512  // what the reader keeps of something stored outside
)

//go:noinline
func (m *machine) fail(format string, args ...any) error {
	return &SyntaxError{Offset: m.at, Reason: fmt.Sprintf(format, args...)}
}

func (m *machine) spend(n int64) error {
	if m.budget -= n; m.budget < 0 {
		return m.fail("it unfolds to far more memory than its length allows")
	}
	return nil
}

func (m *machine) push(n Node, cost int64) error {
	var err error
	if m.stack, err = room(m, m.stack, 1); err != nil {
		return err
	}
	m.stack = append(m.stack, n)
	return m.spend(cost)
}

// room makes room for n more items of s and pays for it. It doubles: so all that was left behind is no more than what there is.
func room[T Node | Pair](m *machine, s []T, n int) ([]T, error) {
	if n <= cap(s)-len(s) {
		return s, nil
	}
	size := max(len(s)+n, 2*cap(s))
	if err := m.spend(int64(size) * int64(unsafe.Sizeof(*new(T)))); err != nil {
		return s, err
	}
	return append(make([]T, 0, size), s...), nil
}

// floor is the height below which the stack is not to be touched: that of the last mark.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) pop() (Node, error) {
	if len(m.stack) <= m.floor() {
		return nil, m.fail("it takes from an empty stack")
	}
	n := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return n, nil
}

func (m *machine) top() (Node, error) {
	if len(m.stack) <= m.floor() {
		return nil, m.fail("it looks at an empty stack")
	}
	return m.stack[len(m.stack)-1], nil
}

// popMark takes everything above the last mark, and the mark. What it returns is valid until the next push.
func (m *machine) popMark() ([]Node, error) {
	if len(m.marks) == 0 {
		return nil, m.fail("it takes items up to a mark that was not set")
	}
	from := m.floor()
	m.marks = m.marks[:len(m.marks)-1]
	items := m.stack[from:]
	m.stack = m.stack[:from]
	return items, nil
}

// keep copies items, for a node to keep.
func (m *machine) keep(items []Node) ([]Node, error) {
	return append([]Node(nil), items...), m.spend(costSlot * int64(len(items)))
}

// length reads a length of n bytes and checks that as many bytes follow.
func (m *machine) length(n int) (int64, error) {
	v, err := m.in.uint(n)
	if err != nil {
		return 0, err
	}
	if v > uint64(m.in.remaining()) {
		return 0, m.fail("it claims %d bytes where %d are left", v, m.in.remaining())
	}
	return int64(v), nil
}

// text reads a string whose length takes n bytes.
func (m *machine) text(n int) (string, error) {
	length, err := m.length(n)
	if err != nil {
		return "", err
	}
	return m.take(length)
}

// take reads a string of n bytes, which are there.
func (m *machine) take(n int64) (string, error) {
	if err := m.spend(n + costString); err != nil {
		return "", err
	}
	if n > math.MaxInt {
		return "", m.fail("a string of %d bytes is too long for this machine", n)
	}
	var b strings.Builder
	b.Grow(int(n))
	for b.Len() < int(n) {
		c, err := m.in.chunk()
		if err != nil {
			return "", err
		}
		c = c[:min(len(c), int(n)-b.Len())]
		b.Write(c)
		m.in.pos += int64(len(c))
	}
	return b.String(), nil
}

// bytes skips over bytes whose length takes n bytes.
func (m *machine) bytes(n int) (*Bytes, error) {
	length, err := m.length(n)
	if err != nil {
		return nil, err
	}
	b := &Bytes{Source: m.in.src, Offset: m.in.pos, Len: length}
	m.in.pos += length
	return b, nil
}

// line reads up to a newline, for the opcodes of protocol 0.
func (m *machine) line() (string, error) {
	start := m.in.pos
	for {
		c, err := m.in.chunk()
		if err != nil {
			return "", err
		}
		i := bytes.IndexByte(c, '\n')
		if i < 0 {
			m.in.pos += int64(len(c))
			continue
		}
		n := m.in.pos + int64(i) - start
		m.in.pos = start
		s, err := m.take(n)
		m.in.pos++ // the newline
		return s, err
	}
}

// name makes a Global, or refuses it.
func (m *machine) name(module, name string) (*Global, error) {
	if r, ok := renamed[module]; ok {
		module = r
	}
	if module == "" || name == "" || len(module)+len(name) > 1000 {
		return nil, m.fail("a global has the name %q", clip(clip(module)+"."+clip(name)))
	}
	g := &Global{Module: module, Name: name}
	if !mayName(g) {
		return nil, &RefusedError{Offset: m.at, Name: clip(g.String())}
	}
	return g, nil
}

// clip keeps names in messages short and printable.
func clip(s string) string {
	const most = 80
	s = strings.ToValidUTF8(s[:min(len(s), 2*most)], "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// outside pushes the node for something stored outside the pickle.
func (m *machine) outside(id Node, cost int64) error {
	if m.persistent == nil {
		return m.push(&Persistent{id}, costNode+cost)
	}
	return m.push(m.persistent(id), costOutside+cost)
}

// reduce makes the Object that stands for class(*args).
func (m *machine) reduce(class Node, args []Node) (Node, error) {
	g, ok := class.(*Global)
	if !ok {
		return nil, m.fail("it calls %s, which is not a name", Describe(class))
	}
	if !mayCall(g, m.call) {
		return nil, &RefusedError{Offset: m.at, Name: clip(g.String())}
	}
	called := true
	// copyreg._reconstructor(class, base, state) and copyreg.__newobj__(class, *args) are how protocols 0
	// and 1 spell NEWOBJ.
	if g.Module == "copyreg" {
		if len(args) == 0 {
			return nil, m.fail("%s without a class", g)
		}
		c, ok := args[0].(*Global)
		if !ok {
			return nil, m.fail("%s of %s, which is not a class", g, Describe(args[0]))
		}
		g, args, called = c, args[1:], false
	}
	return &Object{Class: g, Called: called, Args: args}, m.spend(costObject)
}

// newObject makes the Object that stands for class.__new__(class, *args, **kwargs).
func (m *machine) newObject(class, args Node, kwargs *Dict) (Node, error) {
	g, ok := class.(*Global)
	if !ok {
		return nil, m.fail("it makes an object of %s, which is not a class", Describe(class))
	}
	t, ok := args.(*Tuple)
	if !ok {
		return nil, m.fail("the arguments of %s are %s where a tuple was expected", clip(g.String()), Describe(args))
	}
	return &Object{Class: g, Args: t.Items, Kwargs: kwargs}, m.spend(costObject)
}

// build gives an object its state.
func (m *machine) build(target, state Node) error {
	o, ok := target.(*Object)
	if !ok {
		return m.fail("it sets the state of %s, which has none", Describe(target))
	}
	if o.HasState {
		return m.fail("it sets the state of %s twice", clip(o.Class.String()))
	}
	o.State, o.HasState = state, true
	if m.built == nil {
		return nil
	}
	in := &Inline{Source: m.in.src, Pos: m.in.pos, Size: m.in.size, m: m}
	if err := m.built(o, in); err != nil {
		return err
	}
	if in.Pos < m.in.pos || in.Pos > m.in.size {
		return m.fail("what follows %s goes beyond the end", clip(o.Class.String()))
	}
	if in.Pos == m.in.pos {
		return nil
	}
	m.in.pos = in.Pos
	return m.spend(costInline)
}

// appendTo appends to a list, a set or an object that is one.
func (m *machine) appendTo(target Node, items ...Node) error {
	var list *[]Node
	switch t := target.(type) {
	case *List:
		list = &t.Items
	case *Set:
		list = &t.Items
	case *Object:
		list = &t.Items
	default:
		return m.fail("it appends to %s", Describe(target))
	}
	var err error
	if *list, err = room(m, *list, len(items)); err == nil {
		*list = append(*list, items...)
	}
	return err
}

// setItems sets keys and values, alternating, in a dict or an object that is one.
func (m *machine) setItems(target Node, items ...Node) error {
	if len(items)%2 != 0 {
		return m.fail("a dict gets a key without a value")
	}
	var pairs *[]Pair
	switch t := target.(type) {
	case *Dict:
		pairs = &t.Pairs
	case *Object:
		pairs = &t.Pairs
	default:
		return m.fail("it sets items of %s", Describe(target))
	}
	var err error
	if *pairs, err = room(m, *pairs, len(items)/2); err != nil {
		return err
	}
	for i := 0; i < len(items); i += 2 {
		*pairs = append(*pairs, Pair{items[i], items[i+1]})
	}
	return nil
}

func (m *machine) put(index int64) error {
	n, err := m.top()
	if err != nil {
		return err
	}
	if more := index + 1 - int64(len(m.memo)); more > 0 {
		if more > m.budget || more > math.MaxInt32 {
			return m.spend(max(more, m.budget+1))
		}
		if m.memo, err = room(m, m.memo, int(more)); err != nil {
			return err
		}
		for range more {
			m.memo = append(m.memo, unset{})
		}
	}
	if m.memo[index] == (unset{}) {
		m.memos++
	}
	m.memo[index] = n
	return nil
}

func (m *machine) get(index int64) error {
	if index >= int64(len(m.memo)) || m.memo[index] == (unset{}) {
		return m.fail("it uses memo %d, which was not set", index)
	}
	return m.push(m.memo[index], 0)
}

// integer gives an int64 where the number fits, else a Long; b is little-endian two's complement.
func integer(b []byte) Node {
	if len(b) <= 8 {
		var full [8]byte
		copy(full[:], b)
		v := int64(binary.LittleEndian.Uint64(full[:]))
		shift := 64 - 8*len(b)
		return v << shift >> shift // an empty number is 0: a shift by 64 gives 0
	}
	last := len(b) - 1
	negative := b[last] >= 0x80
	if filler := -(b[last] >> 7); b[last] == filler && b[last-1]>>7 == b[last]>>7 {
		return integer(b[:last]) // the last byte only repeats the sign
	}
	// The magnitude, most significant byte first: a negative number's bits inverted, and 1 added.
	magnitude, carry := make([]byte, len(b)), byte(1)
	for i, x := range b {
		if negative {
			if x = ^x + carry; x != 0 {
				carry = 0
			}
		}
		magnitude[last-i] = x
	}
	digits := strings.TrimLeft(hex.EncodeToString(magnitude), "0")
	if negative {
		return Long("-0x" + digits)
	}
	return Long("0x" + digits)
}
