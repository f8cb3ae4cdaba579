package text

import (
	"strings"
	"testing"
	"unicode"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

func split(s string) []string {
	var parts []string
	for _, span := range Sentences(nil, s) {
		parts = append(parts, s[span.Start:span.End])
	}
	return parts
}

func TestSentences(t *testing.T) {
	// | marks where a sentence ends.
	for _, c := range []string{
		"",
		"没有标点",
		"我正在吃饭。|你呢？|走吧！|等等；|好的。",
		"他说：“你好！”|然后走了。",
		"“你好！”，他说。|再见。",
		"（他来了。）|我走了！！！|真的吗？！|是。",
		"《你好。》|「はい。」|『いいえ。』|終わり",
		"等等……|他来了。|我不知道…|算了",
		"……他没说话。",
		"他今年3.5岁，体重12.25公斤。|版本是2.0.1。",
		"请看www.example.com/a?b=c.html或https://a.org/?词=1。|谢谢。",
		"我用Python 3.11写的。|你呢？",
		"这是Dr. Smith的书。|他在U.S.工作。",
		"你好。|Hello.|世界！|World!|再见",
		"Hello.|How are you?|I am fine!|Good",
		"Pi is 3.14 and e is 2.718.|Next.",
		"Dr. Wang met Mr. and Mrs. Li at 5 p.m. on Friday.|They talked.",
		"He works in the U.S. Army.|She lives in the U.S.|They moved.",
		"J. R. R. Tolkien wrote it.|J.K. Rowling did not.",
		"See No. 5 and Fig. 3.|No.|It is p. 7.",
		"Use e.g. Rust, i.e. a language, cf. Go, etc. and so on.|Done.",
		"Visit http://a.com/x.y?z=1.|Or mail a.b@c.org.|Open main.go now.",
		"Wait... what?|Well…|Maybe...|Yes.",
		"\"Really?\" he asked.|\"Yes.\"|\"No,\" she said.",
		"\"Hello.|How are you?\"|He left.",
		"He left.|(She stayed.)|They met.",
		"It's Tom's.|'Quoted.'|Don't.",
		"1. First item.|2. Second item.",
		"Apple Inc. announced it.|Sold to Foo Ltd.|The end.",
		"What?!|No way!!!|OK.",
		"On Jan. 5 it rained.|In Dec.|He left.",
		"Привет.|Как дела?|Хорошо.",
		"¿Qué tal?|¡Bien!|Adiós.",
		"line one|line two|line three.",
		"Version 1.2.3 is out.|版本1.2.3发布了。|Get it at example.com!|现在。",
		"OK!|好的.|再见",
		"a.b.c",
		"Puff Daddy、P. Diddy或Diddy。|Roe v. Wade was Grace v. Sessions.|Why?",
		"他说得不错。“",
		"他说\"你好。\"|然后走了。",
		"看www.a.org/?中文。|好。",
		"End. -",
		"...",
		"。",
	} {
		want := strings.Split(c, "|")
		if c == "" {
			want = nil
		}
		// Chinese sentences follow each other without a space, others with one.
		var b strings.Builder
		for i, w := range want {
			if i > 0 {
				last := []rune(want[i-1])
				if strings.HasPrefix(want[i], "line") {
					b.WriteString("\n ")
				} else if end := last[len(last)-1]; (end == '…' || !isChinese(end)) && !isChinese([]rune(w)[0]) {
					b.WriteString(" ")
				}
			}
			b.WriteString(w)
		}
		if got := split(b.String()); !equal(got, want) {
			t.Errorf("%q\n got %q\nwant %q", b.String(), got, want)
		}
	}
}

// checkSpans: spans are in order, not empty, without white space at their ends, and leave out nothing but white space.
func checkSpans(t *testing.T, s string) {
	last := 0
	for _, span := range append(Sentences(nil, s), Span{len(s), len(s)}) {
		if span.Start < last || span.End < span.Start || span.End > len(s) {
			t.Fatalf("%q: span %v after %d", s, span, last)
		}
		if gap := s[last:span.Start]; strings.TrimFunc(gap, unicode.IsSpace) != "" {
			t.Fatalf("%q: %q is left out", s, gap)
		}
		part := s[span.Start:span.End]
		if span.Start < len(s) && (part == "" || strings.TrimSpace(part) != part) {
			t.Fatalf("%q: span %q", s, part)
		}
		last = span.End
	}
}

func TestSpansCoverText(t *testing.T) {
	for _, s := range []string{
		"", " ", "\n\n", " a ", "\u3000你好。\u3000\n\n 再见 \r\n", "a.\xff b. \xe4\xb8 C.", "。。。\n。", "\"", "'.' '", "\x00.\x00 A",
		strings.Repeat("第一章。Dr. X said \"hi.\" 好……吗？\n", 50),
	} {
		checkSpans(t, s)
	}
	buffer := make([]Span, 0, 100)
	if n := alloctest.PerRun(10, func() { buffer = Sentences(buffer[:0], "Dr. A. B. met No. 5. He \"left.\" 你好。再见！") }); n > 0 {
		t.Errorf("Sentences allocates %v times", n)
	}
}
