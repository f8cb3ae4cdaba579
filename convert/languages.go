package convert

import (
	"bufio"
	"io/fs"
	"regexp"
	"strings"

	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// short are the two-letter codes (BCP 47 wants the shortest) of three-letter ones that models use.
var short = map[string]string{
	"afr": "af", "ara": "ar", "aze": "az", "bel": "be", "ben": "bn", "bul": "bg", "cat": "ca", "ces": "cs", "cmn": "zh", "cym": "cy",
	"dan": "da", "deu": "de", "ell": "el", "eng": "en", "epo": "eo", "est": "et", "eus": "eu", "fas": "fa", "fin": "fi", "fra": "fr",
	"gle": "ga", "glg": "gl", "heb": "he", "hin": "hi", "hrv": "hr", "hun": "hu", "hye": "hy", "ind": "id", "isl": "is", "ita": "it",
	"jpn": "ja", "kat": "ka", "kor": "ko", "lav": "lv", "lit": "lt", "mkd": "mk", "mlt": "mt", "mon": "mn", "msa": "ms", "nld": "nl",
	"nob": "nb", "nor": "no", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "slk": "sk", "slv": "sl", "spa": "es", "sqi": "sq",
	"srp": "sr", "swa": "sw", "swe": "sv", "tam": "ta", "tgl": "tl", "tha": "th", "tur": "tr", "ukr": "uk", "urd": "ur", "vie": "vi",
	"zho": "zh",
}

// language is a code as BCP 47 writes it.
func language(code string) string {
	if s, ok := short[code]; ok {
		return s
	}
	return code
}

var namedPair = regexp.MustCompile(`(?:^|[-_])([a-z]{2,3})[-_]([a-z]{2,3})$`)

// languagesOfName reads the pair at the end of a name such as opus-mt-zh-en.
func languagesOfName(name string) modelfile.Languages {
	if m := namedPair.FindStringSubmatch(name); m != nil {
		return modelfile.Languages{From: language(m[1]), To: language(m[2])}
	}
	return modelfile.Languages{}
}

// licenceOfReadme reads "license: ..." from the block between --- at the head of a README.md, where Hugging Face keeps it.
func licenceOfReadme(folder fs.FS) string {
	f, err := folder.Open("README.md")
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	if !lines.Scan() || strings.TrimSpace(lines.Text()) != "---" {
		return ""
	}
	for range 200 {
		if !lines.Scan() || strings.TrimSpace(lines.Text()) == "---" {
			return ""
		}
		if value, ok := strings.CutPrefix(lines.Text(), "license:"); ok {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}
