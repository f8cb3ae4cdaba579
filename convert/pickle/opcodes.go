package pickle

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"strings"
)

// run executes opcodes up to STOP. The names in the comments are those of Python's pickletools.
func (m *machine) run() (Node, error) {
	for {
		m.at = m.in.pos
		op, err := m.in.byte()
		if err == nil && op == '.' { // STOP
			return m.pop()
		}
		if err == nil {
			err = m.step(op)
		}
		if err != nil {
			var syntax *SyntaxError
			var refused *RefusedError
			if !errors.As(err, &syntax) && !errors.As(err, &refused) {
				err = &SyntaxError{Offset: m.at, Reason: "cannot go on", Err: err}
				if errors.Is(err, errShort) {
					err = m.fail("the pickle ends early, at byte %d", m.in.size)
				}
			}
			return nil, err
		}
	}
}

// step executes one opcode.
func (m *machine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		p, err := m.in.byte()
		if err != nil {
			return err
		}
		if p > 5 {
			return m.fail("it is of protocol %d, newer than the 5 that this version reads", p)
		}
		return nil
	case 0x95: // FRAME: a hint for buffering, but it must not lie
		_, err := m.length(8)
		return err

	case '(': // MARK
		m.marks = append(m.marks, len(m.stack))
		if len(m.marks) > m.deep {
			m.deep = len(m.marks)
			return m.spend(costMark)
		}
		return nil
	case '0': // POP, which takes a mark away if that is on top
		if len(m.marks) > 0 && len(m.stack) == m.floor() {
			m.marks = m.marks[:len(m.marks)-1]
			return nil
		}
		_, err := m.pop()
		return err
	case '1': // POP_MARK
		_, err := m.popMark()
		return err
	case '2': // DUP
		n, err := m.top()
		if err != nil {
			return err
		}
		return m.push(n, 0)

	case 'N': // NONE
		return m.push(nil, 0)
	case 0x88: // NEWTRUE
		return m.push(true, 0)
	case 0x89: // NEWFALSE
		return m.push(false, 0)
	case 'K', 'M', 'J', 'I', 0x8a, 0x8b, 'L', 'G', 'F':
		n, err := m.number(op)
		if err != nil {
			return err
		}
		return m.push(n, costBox)

	case 'X', 0x8c, 0x8d, 'V', 'S', 'U', 'T':
		s, err := m.str(op)
		if err != nil {
			return err
		}
		return m.push(s, 0)
	case 'C', 'B', 0x8e, 0x96: // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8
		b, err := m.bytes(map[byte]int{'C': 1, 'B': 4, 0x8e: 8, 0x96: 8}[op])
		if err != nil {
			return err
		}
		return m.push(b, costNode)

	case ')': // EMPTY_TUPLE
		return m.push(&Tuple{}, costNode)
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		items := make([]Node, int(op)-0x84)
		for i := len(items) - 1; i >= 0; i-- {
			n, err := m.pop()
			if err != nil {
				return err
			}
			items[i] = n
		}
		return m.push(&Tuple{items}, costNode+costSlot*int64(len(items)))
	case ']': // EMPTY_LIST
		return m.push(&List{}, costNode)
	case '}': // EMPTY_DICT
		return m.push(&Dict{}, costNode)
	case 0x8f: // EMPTY_SET
		return m.push(&Set{}, costNode)
	case 't', 'l', 'd', 0x91: // TUPLE, LIST, DICT, FROZENSET
		items, err := m.popMark()
		if err != nil {
			return err
		}
		if op == 'd' {
			d := &Dict{}
			if err := m.setItems(d, items...); err != nil {
				return err
			}
			return m.push(d, costNode)
		}
		if items, err = m.keep(items); err != nil {
			return err
		}
		switch op {
		case 't':
			return m.push(&Tuple{items}, costNode)
		case 'l':
			return m.push(&List{items}, costNode)
		}
		return m.push(&Set{items}, costNode)

	case 'a', 's': // APPEND, SETITEM
		value, err := m.pop()
		if err != nil {
			return err
		}
		items := []Node{value}
		if op == 's' {
			key, err := m.pop()
			if err != nil {
				return err
			}
			items = []Node{key, value}
		}
		target, err := m.top()
		if err != nil {
			return err
		}
		if op == 's' {
			return m.setItems(target, items...)
		}
		return m.appendTo(target, items...)
	case 'e', 'u', 0x90: // APPENDS, SETITEMS, ADDITEMS
		items, err := m.popMark()
		if err != nil {
			return err
		}
		target, err := m.top()
		if err != nil {
			return err
		}
		if op == 'u' {
			return m.setItems(target, items...)
		}
		return m.appendTo(target, items...)

	case 'p', 'q', 'r', 0x94, 'g', 'h', 'j':
		return m.memory(op)
	case 'c', 0x93, 'R', 'b', 0x81, 0x92, 'o', 'i', 'P', 'Q':
		return m.object(op)

	case 0x82, 0x83, 0x84:
		return m.fail("it uses an extension code (copyreg.add_extension), which only the program that saved it can read")
	case 0x97, 0x98:
		return m.fail("it keeps its data outside the pickle (protocol 5 buffers): save it without buffer_callback")
	}
	return m.fail("opcode 0x%02x is not known", op)
}

// memory executes the opcodes of the memo.
func (m *machine) memory(op byte) error {
	switch op {
	case 0x94: // MEMOIZE
		return m.put(int64(m.memos))
	case 'p', 'g': // PUT, GET
		line, err := m.line()
		if err != nil {
			return err
		}
		index, err := strconv.ParseInt(strings.TrimSpace(line[:min(len(line), 40)]), 10, 64)
		if err != nil || index < 0 || index > math.MaxUint32 {
			return m.fail("%q is not a memo index", clip(line))
		}
		if op == 'p' {
			return m.put(index)
		}
		return m.get(index)
	}
	width := 1 // BINPUT, BINGET
	if op == 'r' || op == 'j' {
		width = 4 // LONG_BINPUT, LONG_BINGET
	}
	index, err := m.in.uint(width)
	if err != nil {
		return err
	}
	if op == 'q' || op == 'r' {
		return m.put(int64(index))
	}
	return m.get(int64(index))
}

// object executes the opcodes that name, call and make things.
func (m *machine) object(op byte) error {
	switch op {
	case 'c', 'i': // GLOBAL, INST
		module, err := m.line()
		if err != nil {
			return err
		}
		name, err := m.line()
		if err != nil {
			return err
		}
		g, err := m.name(module, name)
		if err != nil {
			return err
		}
		if op == 'c' {
			return m.push(g, costNode+int64(len(module)+len(name)))
		}
		args, err := m.popMark()
		if err != nil {
			return err
		}
		if args, err = m.keep(args); err != nil {
			return err
		}
		o, err := m.reduce(g, args)
		if err != nil {
			return err
		}
		return m.push(o, 0)
	case 0x93: // STACK_GLOBAL
		name, err := m.pop()
		if err != nil {
			return err
		}
		module, err := m.pop()
		if err != nil {
			return err
		}
		nameText, ok1 := name.(string)
		moduleText, ok2 := module.(string)
		if !ok1 || !ok2 {
			return m.fail("a global is named by %s and %s", Describe(module), Describe(name))
		}
		g, err := m.name(moduleText, nameText)
		if err != nil {
			return err
		}
		return m.push(g, costNode)
	case 'o': // OBJ
		items, err := m.popMark()
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return m.fail("an object without a class")
		}
		if items, err = m.keep(items); err != nil {
			return err
		}
		o, err := m.reduce(items[0], items[1:])
		if err != nil {
			return err
		}
		return m.push(o, 0)
	case 'P': // PERSID
		id, err := m.line()
		if err != nil {
			return err
		}
		return m.outside(id, int64(len(id)))
	}

	// The others take their arguments from the stack, the last one first.
	last, err := m.pop()
	if err != nil {
		return err
	}
	switch op {
	case 'Q': // BINPERSID
		return m.outside(last, 0)
	case 'b': // BUILD
		target, err := m.top()
		if err != nil {
			return err
		}
		return m.build(target, last)
	}
	var kwargs *Dict
	if op == 0x92 { // NEWOBJ_EX
		d, ok := last.(*Dict)
		if !ok {
			return m.fail("keyword arguments are %s where a dict was expected", Describe(last))
		}
		kwargs = d
		if last, err = m.pop(); err != nil {
			return err
		}
	}
	class, err := m.pop()
	if err != nil {
		return err
	}
	var made Node
	if op == 'R' { // REDUCE
		args, ok := last.(*Tuple)
		if !ok {
			return m.fail("the arguments of a call are %s where a tuple was expected", Describe(last))
		}
		made, err = m.reduce(class, args.Items)
	} else { // NEWOBJ, NEWOBJ_EX
		made, err = m.newObject(class, last, kwargs)
	}
	if err != nil {
		return err
	}
	return m.push(made, 0)
}

// maxDigits bounds integers: making one of n digits takes n² steps.
const maxDigits = 4096

// number reads an integer or a float.
func (m *machine) number(op byte) (Node, error) {
	switch op {
	case 'K', 'M': // BININT1, BININT2
		v, err := m.in.uint(map[byte]int{'K': 1, 'M': 2}[op])
		return int64(v), err
	case 'J': // BININT
		v, err := m.in.uint(4)
		return int64(int32(v)), err
	case 'G': // BINFLOAT, the one big-endian number
		var b [8]byte
		err := m.in.read(b[:])
		return math.Float64frombits(binary.BigEndian.Uint64(b[:])), err
	case 0x8a, 0x8b: // LONG1, LONG4
		n, err := m.length(map[byte]int{0x8a: 1, 0x8b: 4}[op])
		if err != nil {
			return nil, err
		}
		if n > maxDigits {
			return nil, m.fail("an integer of %d bytes", n)
		}
		b := make([]byte, n)
		if err := m.in.read(b); err != nil {
			return nil, err
		}
		return integer(b), m.spend(4 * n)
	}
	line, err := m.line()
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(line)
	if len(text) > maxDigits {
		return nil, m.fail("%q is not a number", clip(line))
	}
	if op == 'F' { // FLOAT
		v, err := strconv.ParseFloat(text, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return nil, m.fail("%q is not a float", clip(line))
		}
		return v, nil
	}
	// INT, whose 00 and 01 are False and True, and LONG, which may end in L
	if op == 'I' && (text == "00" || text == "01") {
		return text == "01", nil
	}
	if op == 'L' {
		text = strings.TrimSuffix(text, "L")
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return v, nil
	}
	if !errors.Is(err, strconv.ErrRange) {
		return nil, m.fail("%q is not an integer", clip(line))
	}
	return Long(text), m.spend(int64(len(text)))
}

// str reads a string.
func (m *machine) str(op byte) (string, error) {
	switch op {
	case 'X': // BINUNICODE
		return m.text(4)
	case 0x8c: // SHORT_BINUNICODE
		return m.text(1)
	case 0x8d: // BINUNICODE8
		return m.text(8)
	case 'U': // SHORT_BINSTRING: Python 2's str; as Latin-1, the way that joblib and numpy ask for
		return m.latin1(m.text(1))
	case 'T': // BINSTRING
		return m.latin1(m.text(4))
	}
	line, err := m.line()
	if err != nil {
		return "", err
	}
	if op == 'V' { // UNICODE
		return m.unescape(line, true)
	}
	// STRING: a Python literal
	line = strings.TrimSpace(line)
	if len(line) < 2 || line[0] != line[len(line)-1] || line[0] != '\'' && line[0] != '"' {
		return "", m.fail("a string is not in quotes")
	}
	return m.unescape(line[1:len(line)-1], false)
}

// latin1 gives the text of bytes that are code points each.
func (m *machine) latin1(s string, err error) (string, error) {
	high := int64(0)
	for i := range len(s) {
		high += int64(s[i] >> 7)
	}
	if err != nil || high == 0 {
		return s, err
	}
	size := int64(len(s)) + high
	if err := m.spend(size); err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(int(size))
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String(), nil
}

// unescape reads the escapes of a Python string: only \u and \U with raw (raw-unicode-escape), else those
// of a literal. Bytes are Latin-1.
func (m *machine) unescape(s string, raw bool) (string, error) {
	if err := m.spend(2 * int64(len(s))); err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(2 * len(s)) // a byte becomes two, an escape fewer than it has
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteRune(rune(s[i]))
			continue
		}
		if i+1 == len(s) {
			if raw {
				b.WriteByte('\\')
				break
			}
			return "", m.fail("a string ends in a backslash")
		}
		i++
		n := 0 // hexadecimal digits that follow
		switch c := s[i]; {
		case raw && c == 'u':
			n = 4
		case raw && c == 'U':
			n = 8
		case !raw && c == 'x':
			n = 2
		}
		if n > 0 {
			if len(s)-i-1 < n {
				return "", m.fail("an escape in a string is cut short")
			}
			v, err := strconv.ParseUint(s[i+1:i+1+n], 16, 32)
			if err != nil || v > 0x10ffff {
				return "", m.fail("%q is not an escape", clip(s[i-1:i+1+n]))
			}
			b.WriteRune(rune(v))
			i += n
			continue
		}
		if raw {
			b.WriteByte('\\')
			b.WriteRune(rune(s[i]))
			continue
		}
		plain := strings.IndexByte(`nrtabfv\'"`, s[i])
		switch {
		case plain >= 0:
			b.WriteByte("\n\r\t\a\b\f\v\\'\""[plain])
		case s[i] >= '0' && s[i] <= '7':
			v := 0
			j := i
			for ; j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7'; j++ {
				v = v*8 + int(s[j]-'0')
			}
			b.WriteRune(rune(v & 255))
			i = j - 1
		default:
			b.WriteByte('\\')
			b.WriteRune(rune(s[i]))
		}
	}
	return b.String(), nil
}
