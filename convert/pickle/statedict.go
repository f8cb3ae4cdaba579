package pickle

import (
	"fmt"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// maxTensors bounds the tensors of a file. Large language models have some thousand.
const maxTensors = 1 << 14

// wrappers are the keys under which training programs put the state dict, in the order tried.
var wrappers = []string{"state_dict", "model_state_dict", "model", "module", "net"}

// OpenTorch opens a state dict that torch.save wrote (pytorch_model.bin, .pt, .pth): a dictionary of
// tensors, or a dictionary that has one under "state_dict", "model_state_dict", "model", "module" or
// "net". Values that are not tensors are left aside, whatever they are. Tensors that share a storage stay
// tied: SameData tells. A path that ends in .json is an index of several such files.
func OpenTorch(path string) (*checkpoint.Checkpoint, error) {
	if strings.HasSuffix(path, ".json") {
		return checkpoint.OpenIndex("torch", path, openStateDict)
	}
	return openStateDict(path)
}

func openStateDict(path string) (*checkpoint.Checkpoint, error) {
	f, err := LoadTorch(path)
	if err != nil {
		return nil, err
	}
	c := checkpoint.New("torch", path, f)
	if err := f.stateDict(c); err != nil {
		f.Close()
		return nil, err
	}
	return c, nil
}

func (f *TorchFile) stateDict(c *checkpoint.Checkpoint) error {
	root, ok := AsDict(f.Root)
	if !ok {
		do := "save model.state_dict() instead: torch.save(model.state_dict(), 'OUT')"
		if o, isObject := f.Root.(*Object); isObject && !IsTensor(o) {
			return f.fail("", f.at, do, nil, "it holds a whole Python object, %s, which only its own program can load", Describe(o))
		}
		return f.fail("", f.at, do, nil, "it holds %s where a dictionary of tensors was expected", Describe(f.Root))
	}
	tensors := root
	for range 3 { // {"model": {"state_dict": {...}}} and no deeper, for dictionaries may contain themselves
		if hasTensors(tensors) {
			break
		}
		for _, key := range wrappers {
			if n, ok := tensors.Get(key); ok {
				if d, ok := AsDict(n); ok {
					tensors = d
					break
				}
			}
		}
	}
	count := 0
	for _, p := range tensors.Pairs {
		if IsTensor(p.Value) {
			count++
		}
	}
	switch {
	case count == 0:
		return f.fail("", f.at, "save model.state_dict() instead", nil, "it has no tensors by name; its keys are %s", keys(root))
	case count > maxTensors: // a name for a tensor that is there takes a few bytes, and some hundred of memory
		return f.fail("", f.at, "", nil, "it has %d tensors, more than %d", count, maxTensors)
	}
	c.Grow(count)
	for _, p := range tensors.Pairs {
		if !IsTensor(p.Value) {
			continue
		}
		name, ok := p.Key.(string)
		if !ok {
			return f.fail("", f.at, "", nil, "the name of a tensor is %s", Describe(p.Key))
		}
		t, err := f.Tensor(name, p.Value)
		if err != nil {
			return err
		}
		if err := c.Add(t); err != nil {
			return err
		}
	}
	return nil
}

func hasTensors(d *Dict) bool {
	for _, p := range d.Pairs {
		if IsTensor(p.Value) {
			return true
		}
	}
	return false
}

// keys lists the first keys of a dictionary, for an error.
func keys(d *Dict) string {
	var all []string
	for _, p := range d.Pairs {
		if len(all) == 10 {
			all = append(all, "...")
			break
		}
		k, ok := p.Key.(string)
		if !ok {
			k = Describe(p.Key)
		}
		all = append(all, fmt.Sprintf("%q", clip(k)))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
